"""Hands the metadata of settings.ini, where nbdev reads it too, to setuptools."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=["="])
ini.read(here / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]


def lines(key):
    """The non-empty lines of a setting (a requirement may contain blanks)."""
    return [line.strip() for line in cfg.get(key, "").splitlines() if line.strip()]


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    license="Apache-2.0",
    keywords=cfg["keywords"],
    packages=find_packages(include=[cfg["lib_path"], cfg["lib_path"] + ".*"]),
    package_data={cfg["lib_path"]: ["*.csv", "*.json", "*.js", "*.css", "*.safetensors", "*.txt"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=lines("requirements"),
    extras_require={
        "dev": lines("dev_requirements"),
        "tensorboard": lines("tensorboard_requirements"),
    },
    entry_points={
        "console_scripts": lines("console_scripts"),
        "nbdev": ["vad_ssl=vad_ssl._modidx:d"],
    },
)

"Sphinx configuration: the site is built from the stored notebooks; nothing is executed."

import re

project = "vad_ssl"
author = "the vad_ssl founders"
copyright = f"2026, {author}"
html_title = "vad_ssl"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
    "sphinxcontrib.bibtex",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "sidebar.md"]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]
html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navbar_persistent": [], "show_toc_level": 2, "home_page_in_toc": True}
autodoc_typehints = "description"
autodoc_inherit_docstrings = False


CODE = re.compile(r"`([^`]+)`")
FORMULA = re.compile(r"\$([^$]+)\$")
EQUATION = re.compile(r"(?<!et al\., )\bEq\. ([1-9])\b")


def part_to_rst(part):
    "One part of a docstring: code, a formula, or plain words."
    if CODE.fullmatch(part):
        return CODE.sub(r"``\1``", part)
    if FORMULA.fullmatch(part):
        return FORMULA.sub(r":math:`\1`", part)
    return re.sub(r"([*_|])", r"\\\1", part)


def to_rst(text):
    "Markdown to reStructuredText: code, formulas, and links to the paper's equations."
    first, *rest = re.split(r"(`[^`]+`|\$[^$]+\$)", text)
    for after in range(1, len(rest), 2):  # a word touching a code span ("`name`s")
        rest[after] = re.sub(r"^(?=\w)", "\0", rest[after])
    parts = map(part_to_rst, [first, *rest])
    return EQUATION.sub(r":ref:`Eq. \1 <eq-\1>`", "".join(parts).replace("\0", "\\ "))


def docments_to_fields(app, what, name, obj, options, lines):
    "Turn the comments beside a function's arguments into `:param:` fields."
    lines[:] = [to_rst(line) for line in lines]
    if what not in ("function", "class", "method"):
        return
    from fastcore.docments import docments

    try:
        notes = docments(obj, full=False)
    except (TypeError, OSError, ValueError, SyntaxError):
        return
    for parameter, note in notes.items():
        if note:
            field = ":returns:" if parameter == "return" else f":param {parameter}:"
            lines.append(f"{field} {to_rst(note)}")


def setup(app):
    app.connect("autodoc-process-docstring", docments_to_fields)

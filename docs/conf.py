"Sphinx configuration: the site is built from notebooks as they are stored; nothing is executed."

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
exclude_patterns = ["_build"]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]
html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navbar_persistent": [], "show_toc_level": 2, "home_page_in_toc": True}
autodoc_typehints = "description"
autodoc_inherit_docstrings = False


def to_rst(text):
    "Docstrings are Markdown: `code`, $formulas$; the paper's equations become links."
    parts = re.split(r"(`[^`]+`|\$[^$]+\$)", text)

    def code(part):
        return f"``{part[1:-1]}``" if part[0] == "`" else f":math:`{part[1:-1]}`"

    parts = [
        re.sub(r"^(?=\w)", r"\\ ", p) if i % 2 == 0 and i else p for i, p in enumerate(parts)
    ]  # `name`s
    text = "".join(
        code(p) if p[:1] in ("`", "$") and len(p) > 2 else re.sub(r"([*_|])", r"\\\1", p)
        for p in parts
    )
    return re.sub(r"(?<!et al\., )\bEq\. ([1-9])\b", r":ref:`Eq. \1 <eq-\1>`", text)


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

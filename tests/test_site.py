"Generated from nbs/93_site.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.dev import notebooks
from vad_ssl.dev import repository
from vad_ssl.playground import Playground
from vad_ssl.widgets import KIND
import json
import os
import pytest
import tempfile

from vad_ssl.site import (
    _put,
    _source,
    broken_links,
    linked_equations,
    paper_page,
    paper_rows,
    silent_figures,
    site_notebook,
)


def test_what_the_paper_to_code_table_names_exists():
    rows = paper_rows(repository() / "docs" / "paper_to_code.csv")
    assert broken_links(rows, repository()) == []
    counts = {"Eq.": 9, "Table": 5, "Figure": 5}
    items = {f"{kind} {k + 1}" for kind, n in counts.items() for k in range(n)}
    assert items <= {row["item"] for row in rows}
    assert all(row["status"] and (row["test"] or "not yet" in row["status"]) for row in rows)


def test_a_name_that_does_not_exist_is_found():
    row = dict(
        item="Eq. 1",
        chapter="99_magic",
        code=["coherence.variance_mask", "magic.spell"],
        test=["test_video.test_of_time"],
    )
    assert broken_links([row], repository()) == [
        f"paper_to_code.csv, Eq. 1: no {what}"
        for what in ("chapter 99_magic", "code magic.spell", "test test_video.test_of_time")
    ]


def test_a_row_of_the_table_leads_everywhere():
    row = dict(item="Eq. 4", what="mask", chapter="14_coherence", code=["coherence.variance_mask"])
    page = paper_page([row | dict(test=["test_coherence.test_by_hand"], status="implemented")])
    assert "| [Eq. 4](#eq-4) | mask | [14_coherence](_nbs/14_coherence.ipynb) |" in page
    assert "`~vad_ssl.coherence.variance_mask` | *by hand* | implemented |" in page


def test_an_equation_is_named_once_and_leads_to_its_code():
    links = {"3": ["coherence.coherence_loss"]}
    text = linked_equations("see\n$$a = b \\tag{3}$$\nand $$c$$ and\n$$a \\tag{3}$$", links)
    line = "*Eq. 3 in code:* {py:obj}`~vad_ssl.coherence.coherence_loss`"
    assert f"(eq-3)=\n$$a = b \\tag{{3}}$$\n\n{line}" in text
    assert text.count("eq-3") == 1 and links == {}


@pytest.fixture
def setup_1():
    def notebook(*sources):
        "A notebook with these code cells; its path."
        names = dict(display_name="python3", language="python", name="python3")
        cells = [
            dict(cell_type="code", id=f"cell{k}", metadata={}, outputs=[], source=source)
            | dict(execution_count=None)
            for k, source in enumerate(sources)
        ]
        book = dict(cells=cells, metadata=dict(kernelspec=names), nbformat=4, nbformat_minor=5)
        path = Path(tempfile.mkdtemp()) / "01_toy.ipynb"
        path.write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")
        return path
    return SimpleNamespace(notebook=notebook)


def test_directives_become_readable_comments_on_the_site_and_figures_get_their_words(setup_1):
    notebook = setup_1.notebook
    cells = site_notebook(
        notebook(
            "#| default_exp toy",
            "#| export\nx = 1",
            "#| test sums are right\nassert x == 1",
            "#| fig-alt: a rising line\nplot(x)",
            "#| fold\nprint(x)",
        )
    )["cells"]
    assert [c["source"] for c in cells] == [
        "x = 1",
        "# test: sums are right\nassert x == 1",
        "plot(x)",
        "print(x)",
    ]
    assert cells[2]["metadata"]["mystnb"]["image"]["alt"] == "a rising line"
    assert [c["metadata"].get("tags") for c in cells] == [None, None, ["hide-input"], ["hide-input"]]


def test_a_link_to_a_page_in_docs_leads_to_it_on_the_site():
    book = site_notebook(repository() / "nbs" / "index.ipynb")
    text = "".join(cell["source"] for cell in book["cells"])
    assert "](../projects.md)" in text and "../docs/" not in text


def test_a_run_of_tests_is_folded_under_one_line_and_a_single_one_stays_open(setup_1):
    notebook = setup_1.notebook
    one, two = "#| test one\nassert 1", "#| slow\n#| test two\nassert 2"
    cells = site_notebook(notebook(one, "x = 1", one, two, "y = 2"))["cells"]
    assert [c["source"] for c in cells] == [
        "# test: one\nassert 1",
        "x = 1",
        "# test: one\nassert 1\n\n\n# test: two\nassert 2",
        "y = 2",
    ]
    assert cells[2]["metadata"]["mystnb"]["code_prompt_show"] == "2 tests: what they pin down"
    assert [bool(c["metadata"]) for c in cells] == [False, False, True, False]


def test_a_widget_comes_to_life_on_the_site(setup_1):
    notebook = setup_1.notebook
    path = notebook("#| live\n#| fig-alt: two squares\nplay()")
    book = json.loads(path.read_text())
    kinds, _ = Playground()._repr_mimebundle_()
    book["cells"][0]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": kinds}]
    path.write_text(json.dumps(book))
    (cell,) = site_notebook(path)["cells"]
    (kind,) = cell["outputs"][0]["data"]
    assert kind == "text/html" and "await view(home" in cell["outputs"][0]["data"][kind]


def test_every_stored_figure_has_alternative_text():
    found = {path.name: silent_figures(path) for path in notebooks(repository())}
    assert {name: ids for name, ids in found.items() if ids} == {}


def test_a_figure_without_words_is_found(setup_1):
    notebook = setup_1.notebook
    path = notebook("plot()", "#| fig-alt: dots\nplot()", "1")
    book = json.loads(path.read_text())
    for cell in book["cells"][:2]:
        cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": "x"}}]
    path.write_text(json.dumps(book))
    assert silent_figures(path) == ["cell0"]


def test_every_widget_of_the_stored_notebooks_has_a_still_picture():
    def widgets(path):
        "Outputs of a notebook's cells marked as live."
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        live = [c for c in cells if _source(c).startswith("#| live")]
        return [[o.get("data", {}) for o in c["outputs"]] for c in live]


    found = {path.stem: widgets(path) for path in notebooks(repository())}
    assert {"06_split", "23_capsule", "14_coherence", "15_smoothness"} <= {
        k for k, v in found.items() if v
    }
    for stem, cells in found.items():
        for outputs in cells:
            assert any("image/png" in o and KIND in o for o in outputs), stem
            assert "jupyter.widget" not in " ".join(kind for o in outputs for kind in o), stem


def test_a_file_that_does_not_change_is_not_written():
    path = Path(tempfile.mkdtemp()) / "new" / "page.md"
    _put(path, "one")
    os.utime(path, (0, 0))
    _put(path, "one")
    assert path.stat().st_mtime == 0
    _put(path, "two")
    assert path.read_text() == "two" and path.stat().st_mtime > 0

"Generated from nbs/91_dev.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
import json
import os
import pytest
import shutil
import subprocess
import sys
import tempfile

from vad_ssl.dev import (
    NotebookError,
    bound_names,
    broken_links,
    check,
    export,
    indented,
    linked_equations,
    misplaced,
    notebooks,
    paper_rows,
    put,
    read_names,
    render,
    repository,
    run_notebook,
    silent_figures,
    site_notebook,
    still,
)


def test_names_bound_and_read_by_a_cell():
    source = "import numpy as np\na, b = f(c)\nd = [x for x in a]\ndef g(y):\n    return y + e\nfor i in range(3): pass"
    assert bound_names(source) == ["np", "a", "b", "d", "g", "i"]
    assert read_names(source) == {"f", "c", "a", "e", "range"}


def test_indenting_leaves_strings_alone():
    code = 'a = """one\ntwo"""\nif a:\n    b = 1'
    assert indented(code) == '    a = """one\ntwo"""\n    if a:\n        b = 1'


@pytest.fixture
def setup_1():
    def notebook(*sources):
        "Write a notebook with these code cells and return its path."
        path = Path(tempfile.mkdtemp()) / "07_toy.ipynb"
        cells = [
            {
                "cell_type": "code",
                "id": f"cell{k}",
                "metadata": {},
                "outputs": [],
                "execution_count": None,
                "source": s,
            }
            for k, s in enumerate(sources)
        ]
        meta = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
        path.write_text(
            json.dumps({"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": 5})
        )
        return path


    toy = (
        "#| default_exp toy",
        "#| export\nimport math",
        "#| export\ndef double(x):\n    return 2 * x",
        "#| setup\nvalue = math.pi",
        "#| test doubling works\nassert double(value) == 2 * math.pi",
    )
    return SimpleNamespace(notebook=notebook, toy=toy)


def test_a_cell_becomes_a_fixture_or_a_test(setup_1):
    notebook = setup_1.notebook
    toy = setup_1.toy
    name, text = render(notebook(*toy))
    assert name == "test_toy.py"
    assert (
        "def test_doubling_works(setup_1):\n    value = setup_1.value\n    assert double(value)" in text
    )
    assert "import math\n" in text and "from vad_ssl.toy import double" in text
    compile(text, name, "exec")


def test_a_name_that_nobody_makes_is_refused_with_the_cell(setup_1):
    notebook = setup_1.notebook
    toy = setup_1.toy
    with pytest.raises(NotebookError, match="cell3: lost"):
        render(notebook(*toy[:3], "#| test looks for a name\nassert lost == 1"))


def test_a_nameless_test_is_refused(setup_1):
    notebook = setup_1.notebook
    toy = setup_1.toy
    with pytest.raises(NotebookError, match="needs a name"):
        render(notebook(*toy[:3], "#| test\nassert True is not False"))


def test_setup_cells_may_build_on_each_other(setup_1):
    notebook = setup_1.notebook
    toy = setup_1.toy
    text = render(
        notebook(
            *toy[:4],
            "#| setup module\nfour = 4",
            "#| setup\nmore = value + four",
            "#| test sums\nassert more > four",
        )
    )[1]
    assert "def setup_3(setup_1, setup_2):" in text and '@pytest.fixture(scope="module")' in text
    assert "def test_sums(setup_2, setup_3):" in text


def test_a_broken_cell_makes_pytest_fail_and_a_mended_one_makes_it_pass(setup_1):
    notebook = setup_1.notebook
    for claim, code in (("1 + 1 == 3", 1), ("1 + 1 == 2", 0)):
        path = notebook(f"#| test arithmetic\nassert {claim}")
        name, text = render(path)
        (path.parent / name).write_text(text)
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
            cwd=path.parent,
            capture_output=True,
            text=True,
        )
        assert run.returncode == code, run.stdout


@pytest.fixture(scope="module")
def setup_2():
    small = Path(tempfile.mkdtemp())
    shutil.copy(repository() / "settings.ini", small)
    for folder in ("nbs", "vad_ssl", "tests"):
        (small / folder).mkdir()
    (small / "vad_ssl" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    source = "#| export\ndef double(x):\n    return 2 * x"
    cell = lambda k, s: dict(
        cell_type="code", id=f"c{k}", metadata={}, outputs=[], execution_count=None, source=s
    )
    cells = [
        cell(0, "#| default_exp toy"),
        cell(1, source),
        cell(2, "#| test doubles\nassert double(2) == 4"),
    ]
    meta = dict(kernelspec=dict(display_name="python3", language="python", name="python3"))
    text = json.dumps(
        dict(cells=cells, metadata=meta, nbformat=4, nbformat_minor=5), indent=1, sort_keys=True
    )
    (small / "nbs" / "01_toy.ipynb").write_text(text + "\n")
    export(small)
    return SimpleNamespace(small=small, folder=folder, source=source, cell=cell, cells=cells, meta=meta, text=text)


def test_a_fresh_export_is_in_sync_and_an_edited_file_is_found(setup_2):
    small = setup_2.small
    assert (small / "tests" / "test_toy.py").exists()
    assert check(small) == []
    for name in ("vad_ssl/toy.py", "tests/test_toy.py"):
        good = (small / name).read_text()
        (small / name).write_text(good + "\n# edited by hand\n")
        assert [p.split(" ")[0] for p in check(small)] == [name]
        (small / name).write_text(good)


def test_a_stored_widget_is_taken_out_and_pictures_stay(setup_1):
    notebook = setup_1.notebook
    path = notebook("slider", "figure")
    book = json.loads(path.read_text())
    book["cells"][0]["outputs"] = [
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {
                "application/vnd.jupyter.widget-view+json": {"model_id": "4f"},
                "text/plain": "IntSlider()",
            },
        }
    ]
    book["cells"][1]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "x"}}
    ]
    book["metadata"]["widgets"] = {}
    path.write_text(json.dumps(book))
    still(path)
    after = json.loads(path.read_text())
    assert [len(c["outputs"]) for c in after["cells"]] == [0, 1] and "widgets" not in after["metadata"]


def test_an_import_of_a_later_chapter_is_found(setup_2):
    small = setup_2.small
    bad = json.loads((small / "nbs" / "01_toy.ipynb").read_text())
    bad["cells"][1]["source"] = "#| export\nfrom vad_ssl.later import thing"
    home = Path(tempfile.mkdtemp())
    (home / "nbs").mkdir()
    (home / "nbs" / "01_toy.ipynb").write_text(json.dumps(bad))
    assert misplaced(home) == ["nbs/01_toy.ipynb imports later, which no earlier chapter makes"]


def test_a_notebook_with_a_failing_cell_is_noticed(setup_1):
    notebook = setup_1.notebook
    assert run_notebook(notebook("x = 1", "assert x == 1")) == ""
    assert "AssertionError" in run_notebook(notebook("x = 1", "assert x == 2"))
    assert run_notebook(notebook("x = 1", "#| slow\nassert x == 2")) == ""
    assert "AssertionError" in run_notebook(notebook("x = 1", "#| slow\nassert x == 2"), slow=True)
    skips = 'if x == 1:\n    pytest.skip("no data")\nassert x == 2'
    assert run_notebook(notebook("import pytest\nx = 1", skips, "assert x == 1")) == ""
    assert "AssertionError" in run_notebook(notebook("import pytest\nx = 3", skips))


def test_what_the_paper_to_code_table_names_exists():
    rows = paper_rows(repository() / "docs" / "paper_to_code.csv")
    assert broken_links(rows, repository()) == []
    counts = {"Eq.": 9, "Table": 5, "Figure": 5}
    assert {f"{kind} {k + 1}" for kind, n in counts.items() for k in range(n)} <= {
        row["item"] for row in rows
    }
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


def test_an_equation_is_named_once_and_leads_to_its_code(setup_2):
    text = setup_2.text
    links = {"3": ["coherence.coherence_loss"]}
    text = linked_equations("see\n$$a = b \\tag{3}$$\nand $$c$$ and\n$$a \\tag{3}$$", links)
    assert (
        "(eq-3)=\n$$a = b \\tag{3}$$\n\n*Eq. 3 in code:* {py:obj}`~vad_ssl.coherence.coherence_loss`"
        in text
    )
    assert text.count("eq-3") == 1 and links == {}


def test_directives_become_readable_comments_on_the_site_and_figures_get_their_words(setup_1, setup_2):
    notebook = setup_1.notebook
    cells = setup_2.cells
    cells = site_notebook(
        notebook(
            "#| default_exp toy",
            "#| export\nx = 1",
            "#| test sums are right\nassert x == 1",
            "#| fig-alt: a rising line\nplot(x)",
        )
    )["cells"]
    assert [c["source"] for c in cells] == ["x = 1", "# test: sums are right\nassert x == 1", "plot(x)"]
    assert cells[2]["metadata"]["mystnb"]["image"]["alt"] == "a rising line"


def test_every_stored_figure_has_alternative_text():
    assert {
        path.name: silent_figures(path) for path in notebooks(repository()) if silent_figures(path)
    } == {}


def test_a_figure_without_words_is_found(setup_1, setup_2):
    notebook = setup_1.notebook
    cell = setup_2.cell
    book = json.loads((path := notebook("plot()", "#| fig-alt: dots\nplot()", "1")).read_text())
    for cell in book["cells"][:2]:
        cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": "x"}}]
    path.write_text(json.dumps(book))
    assert silent_figures(path) == ["cell0"]


def test_a_file_that_does_not_change_is_not_written():
    path = Path(tempfile.mkdtemp()) / "new" / "page.md"
    put(path, "one")
    os.utime(path, (0, 0))
    put(path, "one")
    assert path.stat().st_mtime == 0
    put(path, "two")
    assert path.read_text() == "two" and path.stat().st_mtime > 0

"Generated from nbs/92_dev.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.cells import NotebookError
import json
import pytest
import re
import shutil
import tempfile

from vad_ssl.dev import (
    Chapter,
    _still,
    _unexplained,
    chapters,
    check,
    export,
    notebooks,
    repository,
    run_notebook,
    unprinted,
)


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


@pytest.fixture(scope="module")
def setup_2():
    small = Path(tempfile.mkdtemp())
    for name in ("settings.ini", "ruff.toml"):
        shutil.copy(repository() / name, small)
    for folder in ("nbs", "vad_ssl", "tests"):
        (small / folder).mkdir()
    (small / "vad_ssl" / "__init__.py").write_text('__version__ = "0.1.0"\n')


    def chapter(name, *sources):
        "A small chapter with a proper head."
        head = "# Toy\n\n> It doubles.\n\n*Reading time 1 minute; runs in a second.*"
        cells = [dict(cell_type="markdown", id="c", metadata={}, source=head.splitlines(True))]
        for k, source in enumerate(sources):
            code = dict(cell_type="code", id=f"c{k}", metadata={}, outputs=[], execution_count=None)
            cells.append(code | dict(source=source.splitlines(True)))
        names = dict(display_name="python3", language="python", name="python3")
        book = dict(cells=cells, metadata=dict(kernelspec=names), nbformat=4, nbformat_minor=5)
        (small / "nbs" / name).write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")


    double = "#| export\ndef double(x):\n    return 2 * x"
    use = "#| export\ndef quadruple(x):\n    return double(double(x))"
    chapter("index.ipynb")
    chapter("01_toy.ipynb", "#| default_exp toy", double, "#| test doubles\nassert double(2) == 4")
    chapter("02_more.ipynb", "#| default_exp more", "#| export\nfrom vad_ssl.toy import double", use)
    export(small)
    return SimpleNamespace(small=small, name=name, folder=folder, chapter=chapter, double=double, use=use)


def test_a_fresh_export_is_in_sync_and_an_edited_file_is_found(setup_2):
    small = setup_2.small
    name = setup_2.name
    assert (small / "tests" / "test_toy.py").exists()
    assert check(small) == []
    for name in ("vad_ssl/toy.py", "tests/test_toy.py"):
        good = (small / name).read_text()
        (small / name).write_text(good + "\n# edited by hand\n")
        assert [p.split(" ")[0] for p in check(small)] == [name]
        (small / name).write_text(good)


def test_chapters_lead_to_their_neighbours_and_a_bad_head_is_named(setup_2):
    small = setup_2.small
    head = "".join(json.loads((small / "nbs" / "01_toy.ipynb").read_text())["cells"][0]["source"])
    assert head.endswith("\n\n[index](index.ipynb) | [02_more >](02_more.ipynb)")
    assert chapters(small)[0] == Chapter("01_toy", "Toy", "It doubles.", 1, "a second")
    good = (small / "nbs" / "01_toy.ipynb").read_text()
    (small / "nbs" / "01_toy.ipynb").write_text(good.replace("Reading time", "Takes"))
    with pytest.raises(NotebookError, match="01_toy.ipynb: begin with"):
        chapters(small)
    mine = "Mine, see the [index](index.ipynb)."  # a paragraph that is no such line stays
    book = json.loads(good)
    book["cells"][0]["source"] += ["\n", "\n", mine]
    (small / "nbs" / "01_toy.ipynb").write_text(json.dumps(book))
    export(small)
    assert mine in (small / "nbs" / "01_toy.ipynb").read_text()
    (small / "nbs" / "01_toy.ipynb").write_text(good)


def test_export_mends_what_a_save_in_jupyterlab_leaves_and_a_bad_cell_costs_no_test(setup_2):
    small = setup_2.small
    chapter = setup_2.chapter
    use = setup_2.use
    good = (small / "nbs" / "01_toy.ipynb").read_text()
    book = json.loads(good)
    book["cells"][1]["execution_count"] = 7
    book["metadata"]["language_info"] = {"name": "python"}
    (small / "nbs" / "01_toy.ipynb").write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")
    assert [p.split(" ")[0] for p in check(small)] == ["nbs/01_toy.ipynb"]
    export(small)
    assert check(small) == [] and (small / "nbs" / "01_toy.ipynb").read_text() == good
    chapter("02_more.ipynb", "#| default_exp more", "#| test looks\nassert lost")
    with pytest.raises(NotebookError, match="02_more.ipynb, cell c1: lost"):
        export(small)
    assert (small / "tests" / "test_toy.py").exists()
    chapter("02_more.ipynb", "#| default_exp more", "#| export\nfrom vad_ssl.toy import double", use)
    export(small)


def test_the_losses_are_read_within_an_hour_and_a_chapter_needs_only_earlier_ones_or_the_ground():
    order = chapters(repository())
    method = [c for c in order if c.stem[0] == "1"]
    assert order[: len(method)] == method and sum(c.reading for c in method) <= 70  # minutes
    read = [c.stem for c in order]
    for k, stem in enumerate(read):
        book = json.loads((repository() / "nbs" / f"{stem}.ipynb").read_text(encoding="utf-8"))
        needs = re.search(r"Needs: (.*?)\. Rea", "".join(book["cells"][0]["source"]))
        for other in re.findall(r"\]\((\w+)\.ipynb\)", needs[1]) if needs else ():
            assert other in read[:k] or other[0] == "0", f"{stem} needs {other}, which comes later"


def test_the_number_of_a_link_is_that_of_its_chapter():
    pages = [*repository().glob("docs/*.md"), *repository().glob("*.md"), *notebooks(repository())]
    for path in pages:
        told = r"\[(?:[Cc]hapter |[Nn]otebook )?(\d+)\]\((?:_nbs/|nbs/)?(\d\d)_"
        for number, chapter_number in re.findall(told, path.read_text(encoding="utf-8")):
            assert number == chapter_number, f"{path.name}: [{number}] leads to {chapter_number}"


def test_a_link_of_a_chapter_leads_to_a_file():
    made = (repository() / ".gitignore").read_text()
    for path in notebooks(repository()):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        prose = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        prose = re.sub(r"```.*?```|`[^`]*`", "", prose, flags=re.S)
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", prose):
            there = (path.parent / target).resolve()
            own = there.relative_to(repository()).as_posix()
            assert there.exists() or own in made, f"{path.name}: nothing lies at {target}"


def test_an_import_of_a_later_chapter_a_number_used_twice_and_a_name_in_two_modules_are_found(setup_2):
    small = setup_2.small
    chapter = setup_2.chapter
    double = setup_2.double
    before = {p: p.read_text() for p in (small / "nbs").iterdir()}
    late = "#| export\ndef late():\n    from vad_ssl.more import quadruple\n\n    return quadruple"
    chapter("01_toy.ipynb", "#| default_exp toy", double, late)
    chapter("02_again.ipynb", "#| default_exp again", double)
    export(small)
    found = "\n".join(check(small))
    assert "nbs/01_toy imports more, of a later chapter" in found
    assert "nbs/02_again: number 02 is used twice" in found
    assert "double is public in toy and again: rename one" in found
    (small / "nbs" / "02_again.ipynb").unlink()
    for path, text in before.items():
        path.write_text(text)
    export(small)
    assert check(small) == [] and not (small / "vad_ssl" / "again.py").exists()


def test_a_long_line_an_unformatted_cell_and_four_cells_without_a_word_are_found(setup_2):
    small = setup_2.small
    chapter = setup_2.chapter
    double = setup_2.double
    before = {p: p.read_text() for p in (small / "nbs").iterdir()}
    chapter("01_toy.ipynb", "#| default_exp toy", double, "x = {'a' :1}", "# " + 110 * "x")
    export(small)
    found = "\n".join(check(small))
    assert "long line" in found and "would be reformatted" in found
    chapter("01_toy.ipynb", "#| default_exp toy", double, "#| setup\na = 1", "b = 1", "c = 1", "d = 1")
    assert _unexplained(small) == ["nbs/01_toy.ipynb, cell c5: the fourth in a row, say why"]
    for path, text in before.items():
        path.write_text(text)
    export(small)


def test_a_stored_widget_is_taken_out_and_pictures_stay(setup_1):
    notebook = setup_1.notebook
    path = notebook("slider", "figure", "slider with a picture")
    book = json.loads(path.read_text())
    shown = {"output_type": "display_data", "metadata": {}}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "4f"}, "text/plain": "Slider"}
    book["cells"][0]["outputs"] = [shown | {"data": widget}]
    book["cells"][2]["outputs"] = [shown | {"data": widget | {"image/png": "y"}}]
    book["cells"][1]["outputs"] = [shown | {"data": {"image/png": "x"}}]
    book["metadata"]["widgets"] = {}
    path.write_text(json.dumps(book))
    _still(path)
    after = json.loads(path.read_text())
    assert [len(c["outputs"]) for c in after["cells"]] == [0, 1, 1]
    assert set(after["cells"][2]["outputs"][0]["data"]) == {"image/png", "text/plain"}
    assert "widgets" not in after["metadata"]


def test_a_number_in_prose_that_nobody_printed_is_found_and_names_are_no_numbers(setup_1):
    notebook = setup_1.notebook
    path = notebook("#| fig-alt: 99 bars\nshare = 0.26", "print(f'{1344:,} videos')")
    book = json.loads(path.read_text())
    book["cells"][1]["outputs"] = [{"output_type": "stream", "text": ["1,344 videos, +5.0 points\n"]}]
    prose = "Of 1,344 videos 26% gain 5 points ([5.2, 99]), -7.5 at 0.5 and f-mAP@0.5 with `lr=3`."
    prose += "\n\n1. Table 3 and Figs. 4 to 6 of UCF101-24, in 2022: $x = 8$, 95% interval, 11 videos."
    book["cells"].append(dict(cell_type="markdown", source=[prose]))
    path.write_text(json.dumps(book))
    assert unprinted(path) == ["5.2", "99", "7.5", "11"]
    book["cells"][1]["outputs"][0]["text"] += ["+2.0 [-1.0, +5.0], +3.0 [-1.0, +7.0]"]
    book["cells"][2]["source"] = ["+3.0\n[-1.0, +7.0] but +2.0 [-1.0, +7.0]"]
    path.write_text(json.dumps(book))
    assert unprinted(path) == ["+2.0 [-1.0, +7.0]"]


def test_every_number_in_the_prose_of_the_results_was_printed_by_a_cell():
    book = repository() / "nbs"
    for path in (*sorted(book.glob("8*.ipynb")), book / "75_vos_results.ipynb"):
        assert unprinted(path) == [], path.name


def test_a_notebook_with_a_failing_cell_is_noticed(setup_1):
    notebook = setup_1.notebook
    assert run_notebook(notebook("x = 1", "assert x == 1")) == ""
    assert "AssertionError" in run_notebook(notebook("x = 1", "assert x == 2"))
    assert run_notebook(notebook("x = 1", "#| slow\nassert x == 2")) == ""
    assert "AssertionError" in run_notebook(notebook("x = 1", "#| slow\nassert x == 2"), slow=True)
    skips = 'if x == 1:\n    pytest.skip("no data")\nassert x == 2'
    assert run_notebook(notebook("import pytest\nx = 1", skips, "assert x == 1")) == ""
    assert "AssertionError" in run_notebook(notebook("import pytest\nx = 3", skips))

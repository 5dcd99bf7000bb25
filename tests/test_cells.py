"Generated from nbs/91_cells.ipynb: change the notebook, then `make export`."
from pathlib import Path
from types import SimpleNamespace
import json
import pytest
import subprocess
import sys
import tempfile

from vad_ssl.cells import NotebookError, _bound_names, _caught, _read_names, code_cells, indented, render


def test_names_bound_and_read_by_a_cell():
    source = "import numpy as np\na, b = f(c)\nd = [x for x in a]\n"
    source += "def g(y):\n    return y + e\nfor i in range(3): pass"
    assert _bound_names(source) == ["np", "a", "b", "d", "g", "i"]
    assert _read_names(source) == {"f", "c", "a", "e", "range"}
    source = "h = [(k := x) for x in a]\nh = gone = 1\ndel gone\nasync def j(): pass\n"
    source += "match a:\n    case [l, *m]: pass\ntry: h\nexcept ValueError as n: print(n)"
    assert _bound_names(source) == ["h", "k", "j", "l", "m"] and _caught(source) == {"n"}


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


def test_a_nameless_test_is_refused_and_so_is_a_name_that_is_taken(setup_1):
    notebook = setup_1.notebook
    toy = setup_1.toy
    with pytest.raises(NotebookError, match="needs a name"):
        render(notebook(*toy[:3], "#| test\nassert double(1) == 2"))
    with pytest.raises(NotebookError, match="cell4: a second test_sums_are_right"):
        render(notebook(*toy[:3], "#| test sums are right\n1", "#| test sums, are right\n2"))


def test_a_cell_that_would_vanish_or_cannot_be_read_is_named(setup_1):
    notebook = setup_1.notebook
    toy = setup_1.toy
    for source, why in {
        "#| tests sums\nassert 1": "directive tests is none of default_exp, export",
        "%%bash\necho $HOME": "directive bash is none of",
        "# why\n#| test sums\nassert 1": "`#| test sums` comes too late",
        "print(": "line 1 of its code: '.' was never closed",
        "x = 1\nprint?": "line 2 of its code: invalid syntax",
        "#| test sums\n# nothing yet": "holds no code",
    }.items():
        with pytest.raises(NotebookError, match=f"07_toy.ipynb, cell cell3: {why}"):
            render(notebook(*toy[:3], source, *toy[3:]))
    assert code_cells(notebook('text = """\n#| test\n"""'))[0].directives == {}


def test_magics_are_left_out_but_not_the_insides_of_strings(setup_1):
    notebook = setup_1.notebook
    lines = '%time 1\n!ls\ntext = """\n% kept\n! kept\n"""\n%who'
    found = code_cells(notebook(lines))[0].source
    assert found == 'text = """\n% kept\n! kept\n"""'


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

"Every notebook, executed from top to bottom."
import pytest

from vad_ssl.dev import notebooks, repository, run_notebook


@pytest.mark.parametrize("path", notebooks(repository()), ids=lambda path: path.stem)
def test_notebook_runs(path, request):
    assert run_notebook(path, slow=request.config.getoption("--slow")) == ""

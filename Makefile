# Everything runs in .venv, made on first use; `make demo` and `make test` need only Python 3.11+ and a package index.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SEED ?= 0
OUT := demo

.PHONY: demo test test-slow lab docs export clean
demo: $(STAMP)  ## draw the data, train four detectors, evaluate, write the report to $(OUT)/
	$(BIN)/vad-ssl demo --out $(OUT) --seed $(SEED)

test: $(STAMP)  ## sync checks, generated tests, every notebook top to bottom
	$(BIN)/vad-ssl dev test

test-slow: $(STAMP)  ## the same with the cells marked slow
	$(BIN)/vad-ssl dev test --slow

lab: $(STAMP)  ## JupyterLab on the index notebook, loopback only
	$(BIN)/vad-ssl dev lab

docs: $(STAMP)  ## build the site into docs/_build/html
	$(BIN)/vad-ssl dev docs

export: $(STAMP)  ## notebooks -> package and tests
	$(BIN)/vad-ssl dev export

$(STAMP): settings.ini setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:  ## remove what the commands above made (not the notebooks' outputs)
	rm -rf .venv build docs/_build docs/_nbs *.egg-info demo .pytest_cache
	rm -f docs/api.md docs/card.md docs/sidebar.md docs/paper_to_code.md docs/_static/inspector.html docs/_static/playground.html

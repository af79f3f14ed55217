# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
# The second environment, with the oldest versions that pyproject.toml promises to work with.
LOWEST ?= .venv-lowest
# Processes that share the tests.
WORKERS ?= 2
# worksteal gives each process one run of neighbouring tests: what the tests of a file share is made once.
PYTEST := python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test lint types browser-tests test-lowest wheel bench clean

help:
	@echo "make demo           set everything up, score networks against a simulated cortex, write demo/report.html"
	@echo "make test           set everything up, lint, check types and run the tests"
	@echo "make lint           ruff for Python, oxlint for the JavaScript of the pages"
	@echo "make types          mypy"
	@echo "make browser-tests  the tests that open pages in Chromium"
	@echo "make test-lowest    the tests with the oldest promised versions, in a second environment: gigabytes, half an hour"
	@echo "make wheel          build dist/murine-VERSION-py3-none-any.whl"
	@echo "make bench          timings against other libraries, one script per claim"
	@echo "make clean          remove the virtual environments and what was made"

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "murine needs Python >= 3.11; call make with PYTHON=python3.12, for example"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(VENV)/installed
	$(RUN)/python -m murine demo --out demo

# The types are checked by one of the tests (tests/test_types.py).
test: lint
	$(RUN)/$(PYTEST)

lint: $(VENV)/installed
	$(RUN)/python -m ruff check .
	$(RUN)/python -m ruff format --check .
	$(RUN)/python tools/lint_scripts.py

types: $(VENV)/installed
	$(RUN)/python -m mypy

browser-tests: $(VENV)/installed
	$(RUN)/python -m pytest tests/report -k in_a_browser

# uv finds the versions: it can choose the lowest of what pyproject.toml names, and the newest of all else.
$(LOWEST)/installed: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct --requirement pyproject.toml
	$(LOWEST)/bin/python tools/lowest_versions.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --constraint $(LOWEST)/lowest.txt --editable '.[test]'
	@touch $@

# What people use murine for; building wheels, pages in a browser and terminals do not depend on these versions.
test-lowest: $(LOWEST)/installed
	$(LOWEST)/bin/$(PYTEST) --ignore tests/packaging --ignore tests/cli/test_terminal.py -k "not in_a_browser" -W default

wheel: $(VENV)/installed
	$(RUN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

bench: $(VENV)/installed
	for script in benchmarks/*.py; do echo "== $$script"; $(RUN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) $(LOWEST) demo atlas build dist

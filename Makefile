# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
# Processes that share the tests.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help:
	@echo "make demo   set everything up, score networks against a simulated cortex, write demo/report.html"
	@echo "make test   set everything up, lint, check types and run the tests"
	@echo "make bench  timings against other libraries, one script per claim"
	@echo "make clean  remove the virtual environment and what was made"

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "murine needs Python >= 3.11; call make with PYTHON=python3.12, for example"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(VENV)/installed
	$(RUN)/python -m murine demo --out demo

test: $(VENV)/installed
	$(RUN)/python -m ruff check .
	$(RUN)/python -m ruff format --check .
	$(RUN)/python -m mypy
	$(RUN)/python -m pytest -n $(WORKERS)

bench: $(VENV)/installed
	for script in benchmarks/*.py; do echo "== $$script"; $(RUN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) demo atlas

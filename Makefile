# Everything runs in a virtual environment of its own, made on first use. `make help` lists the targets: the text after
# `##` is what it prints.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
# The second environment, with the oldest versions that pyproject.toml promises to work with.
LOWEST ?= .venv-lowest
# Processes that share the tests.
WORKERS ?= 2
# The folder below tests/ that `make test-fast` runs.
ROOM ?=
# worksteal gives each process one run of neighbouring tests: what the tests of a file share is made once.
PYTEST := python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test known-room test-fast test-docs test-lowest browser-tests lint format types hooks docs wheel bench verify clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "murine needs Python >= 3.11; call make with PYTHON=python3.12, for example"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(VENV)/installed ## set everything up, score networks against a simulated cortex, write demo/report.html
	$(RUN)/python -m murine demo --out demo

# The types are checked by one of the tests (tests/test_types.py).
test: lint ## set everything up, run the linters, the type checker and all tests
	$(RUN)/$(PYTEST)

# Comes before the environment: a wrong name is refused before anything is installed.
known-room:
	@test -n "$(ROOM)" && test -d "tests/$(ROOM)" || { echo "ROOM is '$(ROOM)'; expected one of: $(filter-out helpers,$(notdir $(patsubst %/,%,$(wildcard tests/*/))))"; exit 1; }

test-fast: known-room $(VENV)/installed ## run the tests of one room: make test-fast ROOM=similarity
	$(RUN)/python -m pytest tests/$(ROOM)

test-docs: $(VENV)/installed ## run the commands and examples of the documentation
	$(RUN)/$(PYTEST) tests/documentation tests/examples tests/cli/test_documented_commands.py tests/interchange/test_interchange_page.py

browser-tests: $(VENV)/installed ## run the tests that open pages in Chromium
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
test-lowest: $(LOWEST)/installed ## run the tests with the oldest promised versions, in a second environment: gigabytes, half an hour
	$(LOWEST)/bin/$(PYTEST) --ignore tests/packaging --ignore tests/cli/test_terminal.py -k "not in_a_browser" -W default

lint: $(VENV)/installed ## check the style: ruff for Python, oxlint for the JavaScript of the pages, blanks and sizes of all files
	$(RUN)/python -m ruff check .
	$(RUN)/python -m ruff format --check .
	$(RUN)/python tools/lint_scripts.py
	$(RUN)/python tools/check_files.py

format: $(VENV)/installed ## rewrite the Python files in the project's style
	$(RUN)/python -m ruff check --fix .
	$(RUN)/python -m ruff format .

types: $(VENV)/installed ## check the types with mypy
	$(RUN)/python -m mypy

hooks: $(VENV)/installed ## run the checks of .pre-commit-config.yaml before every commit from now on
	$(RUN)/python -m pip install --quiet --disable-pip-version-check pre-commit
	$(RUN)/pre-commit install

$(VENV)/docs: $(VENV)/installed
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

docs: $(VENV)/docs ## write the generated pages of docs/reference again and build the documentation in build/docs
	$(RUN)/python tools/write_tables_page.py
	$(RUN)/python tools/write_python_page.py
	NO_MKDOCS_2_WARNING=1 $(RUN)/python -m mkdocs build --strict --site-dir build/docs

wheel: $(VENV)/installed ## build dist/murine-VERSION-py3-none-any.whl
	$(RUN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

bench: $(VENV)/installed ## time murine against other libraries, one script for each claim
	for script in benchmarks/*.py; do echo "== $$script"; $(RUN)/python $$script || exit 1; done

verify: $(VENV)/installed ## compare every metric with scikit-learn, SciPy, rsatoolbox and himalaya on this machine
	$(RUN)/python -m murine verify

clean: ## remove the virtual environments and what was made
	rm -rf $(VENV) $(LOWEST) demo atlas build dist

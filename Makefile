# Two targets do everything on a machine that has Python >= 3.11 and make:
#   make demo    compare breadth x depth on a small graph, draw the table and the heat maps
#   make test    lint, types, import directions, docs and the whole test suite
# and a third does what needs a browser, which it installs:
#   make test-browser
# All build their own environment in .venv first; nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
# pyright's wrapper asks the network for a newer version of itself; the pinned one is the one we want.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test test-browser setup lint types imports docs pytest format clean

demo: .venv/run.stamp
	$(BIN)/gattn compare --preset demo --out results/demo

# In this order, so that the quick checks fail first.
test: .venv/dev.stamp
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory types
	$(MAKE) --no-print-directory imports
	$(MAKE) --no-print-directory docs
	$(MAKE) --no-print-directory pytest

# The report in Chromium, without a window. Whatever of it is missing is installed, or named.
test-browser: .venv/dev.stamp
	sh tests/browser/install.sh
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/browser

setup: .venv/dev.stamp

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev.stamp
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: .venv/dev.stamp
	$(BIN)/lint-imports --no-logo

docs: .venv/dev.stamp
	$(BIN)/mkdocs build --quiet --strict

# Two processes of one thread each; tests that ask for more threads set them.
pytest: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv site

# pip is what `venv` writes last: an interrupted environment is made again.
.venv/bin/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and \
	    'gattn needs Python 3.11 or newer, found %s: make PYTHON=python3.12 ...' % sys.version.split()[0])"
	$(PYTHON) -m venv .venv

.venv/run.stamp: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(PIP) --editable '.[dev]'
	@touch $@

# DDAD Review. `make run` needs nothing but Python 3.11 or later (with venv) and make.
PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
export PORT

.PHONY: run demo setup test fuzz lint bench clean

run: setup
	$(BIN)/python -m app.serve

# Without accounts, on this machine only, in a data folder of its own.
demo: $(VENV)/installed
	DDAD_DEMO=1 $(BIN)/ddad-admin import --gallery
	DDAD_DEMO=1 $(BIN)/python -m app.serve

# Environment, database and gallery; each step does nothing when there is nothing to do.
setup: $(VENV)/installed
	$(BIN)/ddad-admin import --gallery

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

# The reader of files against many thousand damaged ones; stop it at any time.
fuzz: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/core/imaging/test_fuzz.py --hypothesis-profile=long

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks.run_all

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	touch $@

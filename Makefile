# Every target makes its own environment; nothing is expected to be installed but Python >= 3.11 and a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-data check format

$(VENV)/.installed: pyproject.toml setup.py constraints.txt $(wildcard data_pipeline/native/*.[ch])
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --progress-bar on -c constraints.txt -e '.[dev]'
	touch $@

env: $(VENV)/.installed

demo: env
	$(BIN)/python -m launch demo

test: check
	$(BIN)/python -m pytest tests

# The truth tests over a crawl of 300 MB instead of 30: Debian's documentation by apt, and the shared data.
test-data: env
	HEADWATER_TRUTH=large $(BIN)/python -m pytest tests/integration -k 'truth or data_job_two_hosts'

check: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy contracts data_pipeline pretrain launch benchmarks tests
	$(BIN)/lint-imports
	$(BIN)/codespell contracts data_pipeline pretrain launch benchmarks tests docs configs README.md

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

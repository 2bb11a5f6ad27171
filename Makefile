# Everything a maintainer runs. A fresh machine needs Python 3.11, make, git and, for the real test nodes, root.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 6

.PHONY: help demo check format lint types root collected test bench corpus soak fuzz packages clean

help:
	@echo "make demo    sets up nodes and a throw-away repository, and shows the main job"
	@echo "make check   format, lint, types, layers, all tests: what CI runs"
	@echo "make bench   the figures of docs/benchmarks.md"
	@echo "make soak    the long versions of the fault tests, for docs/reliability.md"
	@echo "make fuzz    ten minutes of fuzzing for each parser of foreign text; guided by atheris where it is installed"

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: install python3-venv (Debian: apt-get install python3-venv) and run make again" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# sshd, mmdebstrap and friends for real nodes: installed where we are root and apt is there, else said plainly.
packages:
	@tests/support/install_packages.sh

demo: $(STAMP) packages
	@$(BIN)/python -m tests.support.demo_nodes

# The nodes' root is made, where it is not there yet, while the types are checked: each of the two keeps one core busy.
check: $(STAMP) packages
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target root types collected format lint
	@$(MAKE) --no-print-directory test

root: $(STAMP)
	@$(BIN)/python -m tests.support.node_root || :  # the tests that need nodes say so

# Every worker reads all tests: what pytest makes of them is written once, wherever PYTHONDONTWRITEBYTECODE is set.
collected: $(STAMP)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --collect-only --quiet -m 'not soak' >/dev/null

format: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy --strict

test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not soak'

bench: $(STAMP) packages
	$(BIN)/python -m benchmarks

corpus: $(STAMP)  # CORPUS=DIR: a folder of other people's documents
	$(BIN)/python -m tests.support.corpus "$(CORPUS)"

soak: $(STAMP) packages
	REQUIRE_NODES=1 $(BIN)/pytest -m soak -p no:xdist --timeout 14400 -s

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz --seconds 600

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

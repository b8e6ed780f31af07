# One-word commands; CI calls the same ones. A fresh machine needs Python 3.11, git and make (make lint: npx as well).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= uv
BUF ?= npx --yes @bufbuild/buf@1.75.0
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --require-virtualenv

.DEFAULT_GOAL := help
.PHONY: help install system proto lint type test test-long nojit bounds mutants simulate chaos bench bench-country micro run demo lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-13s %s\n", $$1, $$2}'

# The stamps name what was installed from what: a second `make run` installs nothing.
.venv/run.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing what serving and building need (about 150 MB, once)"
	@$(PIP) --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	@echo "installing what tests and checks need (about 50 MB, once)"
	@$(PIP) --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

install: .venv/dev.stamp ## make .venv with the pinned dependencies, tests' included

system: ## install what some tests want of Debian (Redis, its Sentinel, libfaketime), as root; without it they are skipped
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends redis-server redis-sentinel faketime

proto: .venv/dev.stamp ## generate proto/touchpoint/v1 anew from its .proto files
	$(BIN)/python proto/generate.py

lint: .venv/dev.stamp ## ruff, import contracts, buf
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BUF) lint

type: .venv/dev.stamp ## mypy --strict
	$(BIN)/mypy

test: .venv/dev.stamp ## the suite, compiled, without its long tests, in two processes at once
	$(BIN)/python -m tests.halves -m "not long"

test-long: .venv/dev.stamp ## the long tests (many minutes)
	$(BIN)/python -m pytest -m long

nojit: .venv/dev.stamp ## the suite with the kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m tests.halves -m "not long"

bounds: .venv/dev.stamp ## the kernels' tests with every array index checked
	NUMBA_BOUNDSCHECK=1 XDG_CACHE_HOME=$(CURDIR)/run/bounds-cache $(BIN)/python -m pytest -m "not long" tests/engine tests/server/codec

mutants: .venv/dev.stamp ## show that the tests catch each seeded mutant
	$(BIN)/python -m tests.mutants

SEEDS ?= 10000
FIRST ?= 1
JOBS ?= 1
KILLS ?= 500

simulate: .venv/dev.stamp ## play SEEDS simulations of a server and its journal, from seed FIRST on (JOBS at once)
	$(BIN)/python -m tests.simulation --first $(FIRST) --seeds $(SEEDS) --jobs $(JOBS)

chaos: .venv/dev.stamp ## kill a loaded server KILLS times, and count what receivers got
	$(BIN)/python -m tests.chaos --kills $(KILLS)

bench: .venv/dev.stamp ## measure everything, ours beside the rivals, in one table (an hour or so)
	$(BIN)/python -m bench

micro: .venv/dev.stamp ## micro-benchmarks of kernels and codec
	$(BIN)/python -m pytest --benchmark-enable --benchmark-timer=time.thread_time --benchmark-columns=median,iqr,rounds tests/bench/micro

bench-country: .venv/dev.stamp ## build and attach 100,000,000 subscribers, then remove them (40 GB of disk, an hour or so)
	$(BIN)/python -m bench.memory --rows 100000000 --forget

run: .venv/run.stamp ## build and serve the demo operator
	@exec $(BIN)/touchpoint serve --demo

demo: .venv/run.stamp ## play one demo customer through every channel, then exit
	@exec $(BIN)/touchpoint demo

lock: ## pin every dependency anew, with hashes (needs uv)
	$(UV) pip compile pyproject.toml --extra build --extra fast --extra install --no-annotate --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 -o requirements.lock
	$(UV) pip compile pyproject.toml --all-extras -c requirements.lock --no-annotate --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 -o requirements-dev.lock

clean: ## remove what was built, installed and cached here
	rm -rf .venv dist build run node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

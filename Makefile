# Every word that people and CI use. Needs python3 >= 3.11, make and a network for packages; asks
# nothing. Stamp files in .venv keep a second run instant: a step runs again only when the file it
# was made from has changed.

SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Arguments for the program behind a word: `make serve ARGS="--port 9000"`.
ARGS ?=

# Tests must not reach an upstream that the person who runs them has configured.
TEST_ENV := env -u OPENAI_API_KEY -u OPENAI_BASE_URL -u OPENAI_ORG_ID -u OPENAI_PROJECT_ID
# Half of the time is waiting, so two workers pay even on two cores; WORKERS=0 runs one after the
# other. A file stays on one worker: the blocks of a page of documentation build on each other. The
# order of files is that of conftest.py.
WORKERS ?= 2
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
	--no-loadscope-reorder
# What must be covered to the last branch, and the tests that answer for it.
COVERED := src/keyhall/policy/*,src/keyhall/wire/*,src/keyhall/errors.py,src/keyhall/ledger/*,src/keyhall/counters/*
# Tests that bound a time run in `make test` only: counting branches makes Python several times slower.
COVERING = -m "not slow" -k "not quickly and not in_time and not less_than_a_second" $(wildcard tests/policy tests/wire tests/test_errors.py tests/ledger tests/counters tests/contracts)

AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo -n)

# pip in one quiet call. Its own words go to a log; people get one line.
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet install
EXPLAIN = || { echo "Installing failed, see $(VENV)/install.log: $$(tail -n 1 $(VENV)/install.log)" >&2; \
	exit 1; }

.PHONY: help install install-dev browser serve test test-again test-slow faults check coverage bench bench-peers bench-shared lock docs clean
.DEFAULT_GOAL := help

help: ## Print these words.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(VENV)/.keyhall $(VENV)/.local ## Make .venv with what Keyhall needs to run.
	@echo "Ready: $(BIN)/keyhall"

serve: $(VENV)/.keyhall $(VENV)/.local ## Start Keyhall; the first start makes a key. ARGS="--port 9000 …" are passed on.
	@exec $(BIN)/keyhall serve $(ARGS)

test: install-dev ## Run every test that takes seconds. ARGS="-k word" are passed to pytest.
	@$(PYTEST) -m "not slow" $(ARGS)

test-again: install-dev ## Look again, alone, at the three tests at most that failed in the last run.
	@$(TEST_ENV) $(BIN)/python tools/test_again.py

browser: ## Install Chromium from the system's packages (Debian, Ubuntu), for journeys through the console.
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || { \
		$(AS_ROOT) apt-get update -qq && \
		$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-core; \
	} >/dev/null 2>&1 || echo "Chromium could not be installed: journeys in a browser will be skipped." >&2

test-slow: install-dev ## Run the tests that take minutes or real time.
	@$(TEST_ENV) $(BIN)/python -m pytest -m slow $(ARGS)

faults: install-dev ## Kill a server a thousand times, run ten thousand simulated worlds. ARGS="--seed 7".
	@$(TEST_ENV) $(BIN)/python tests/faults/run.py $(ARGS)

check: install-dev ## Format, lint, types, imports, sizes, generated pages, coverage of the core.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_docs.py --check
	$(TEST_ENV) $(BIN)/python -m pytest --quiet tests/architecture
	@$(MAKE) --no-print-directory coverage

coverage: install-dev ## Fail unless the core is covered to the last branch.
	@$(TEST_ENV) $(BIN)/coverage run -m pytest --quiet $(COVERING)
	@$(BIN)/coverage report --include="$(COVERED)" --show-missing --skip-covered --fail-under=100

bench: install-dev ## Measure Keyhall against direct calls and nginx.
	@$(TEST_ENV) $(BIN)/python bench/run.py $(ARGS)

bench-peers: install-dev ## Measure against LiteLLM, TensorZero and Portkey too (installs them).
	@$(TEST_ENV) $(BIN)/python bench/run.py --peers $(ARGS)

bench-shared: install-dev ## Measure with Redis and PostgreSQL, on 1 and 2 workers.
	@$(TEST_ENV) $(BIN)/python bench/shared.py $(ARGS)

docs: install-dev ## Write the generated pages of documentation again.
	@$(BIN)/python tools/generate_docs.py

lock: install-dev ## Resolve the requirements again. ARGS=--upgrade takes the newest of all.
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(PIP) uv 2>/dev/null
	@$(LOCK) pyproject.toml -o requirements/core.txt $(ARGS)
	@$(LOCK) requirements/build.in -c requirements/core.txt -o requirements/build.txt $(ARGS)
	@$(LOCK) requirements/local.in -c requirements/core.txt -o requirements/local.txt $(ARGS)
	@$(LOCK) pyproject.toml --group dev -c requirements/core.txt -c requirements/build.txt \
		-c requirements/local.txt -o requirements/dev.txt $(ARGS)

# --universal: one file for every platform and Python. Neither file names an index or a host.
LOCK = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header

clean: ## Remove the environment, caches and what was built. Data folders stay.
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .bench
	@find src tests tools bench examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null; true

# --- The environment, step by step ---------------------------------------------------------------

install-dev: $(VENV)/.dev

# The stamp says where it was made: a folder that was moved, or whose interpreter is gone, is made
# anew.
ifneq ($(shell cat $(VENV)/.made 2>/dev/null; test -x $(BIN)/python || echo gone),$(CURDIR))
.PHONY: $(VENV)/.made
endif
$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "Keyhall needs python3, version 3.11 or newer; there is none on PATH." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Keyhall needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@if test -e $@; then rm -rf $(VENV); fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "Making the environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "$(CURDIR)" > $@

$(VENV)/.core: $(VENV)/.made requirements/core.txt requirements/build.txt
	@echo "Installing what Keyhall runs on (requirements/core.txt)"
	@$(PIP) --require-hashes --no-deps -r requirements/core.txt -r requirements/build.txt \
		>$(VENV)/install.log 2>&1 $(EXPLAIN)
	@touch $@

$(VENV)/.keyhall: $(VENV)/.core pyproject.toml src/keyhall/__init__.py
	@echo "Installing Keyhall itself"
	@$(PIP) --no-deps --no-build-isolation --editable . >$(VENV)/install.log 2>&1 $(EXPLAIN)
	@touch $@

# Wheels of llama.cpp exist for the usual machines; on any other, all else works.
$(VENV)/.local: $(VENV)/.core requirements/local.txt
	@echo "Installing what serves models in files (requirements/local.txt)"
	@$(PIP) --require-hashes --no-deps --only-binary :all: -r requirements/local.txt \
		>$(VENV)/install.log 2>&1 || echo "There is no llama.cpp for this machine:" \
		"models in files cannot be served, everything else can." >&2
	@touch $@

$(VENV)/.dev: $(VENV)/.keyhall requirements/dev.txt
	@echo "Installing what the tests and checks need (requirements/dev.txt)"
	@$(PIP) --require-hashes --no-deps -r requirements/dev.txt >$(VENV)/install.log 2>&1 $(EXPLAIN)
	@touch $@

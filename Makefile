# What a checkout needs is Python 3.11 or later, make and git. Everything else comes from PyPI and npm.

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NPM := $(BIN)/python scripts/npm.py
PYTEST := $(BIN)/python -m pytest
# Each worker of the unit tests has a Postgres of its own.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-full lint unit live bots server build package bench docs lock clean distclean

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: build ## the whole pipeline on this machine, from nothing to a search
	MEDBOTS_STATE_DIR=$${MEDBOTS_STATE_DIR:-$(CURDIR)/.state} $(BIN)/medbots demo

test: lint unit bots server live ## everything that CI runs before the demo

test-full: test ## the same, and the full-size cases
	$(PYTEST) -m full tests

lint: build ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: build ## the Python tests that need no stack
	$(PYTEST) -n $(WORKERS)

live: build ## the tests on a running stack: the local one, or MEDPLUM_BASE_URL
	$(PYTEST) tests/live $(if $(MEDPLUM_BASE_URL),,-n $(WORKERS) --dist loadfile)

bots: build ## types and tests of the bots, on an embedded Postgres
	$(NPM) --prefix bot_templates run typecheck
	$(BIN)/python -m tests.support.postgres -- $(NPM) --prefix bot_templates test

server: build ## types and tests of the local server, on an embedded Postgres
	$(NPM) --prefix local_server run typecheck
	$(BIN)/python -m tests.support.postgres -- $(NPM) --prefix local_server test

build: $(VENV)/.installed ## the bots' bundles, the lint and the local server
	@$(BIN)/python scripts/build_assets.py --modules

package: build ## sdist and wheel, into dist/
	$(BIN)/python -m hatchling build

bench: build ## the benchmarks, as a table and as JSON
	$(BIN)/python -m benchmarks

docs: build ## the pages that are generated from the code
	$(BIN)/python scripts/build_manifest_docs.py
	$(BIN)/python scripts/build_checks_docs.py
	$(BIN)/python scripts/build_safety_docs.py

lock: ## pin every Python package anew, for every platform
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet uv
	$(VENV)-lock/bin/uv pip compile pyproject.toml --group dev --extra local --extra bench --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --quiet \
		--custom-compile-command 'make lock' --output-file requirements/dev.txt
	rm -rf $(VENV)-lock

clean: ## remove what was built, and caches
	rm -rf build dist bot_templates/dist local_server/dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environment and node_modules too
	rm -rf $(VENV) bot_templates/node_modules local_server/node_modules

$(VENV)/.requirements: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "medbots needs Python 3.11 or later on PATH" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -qq --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements pyproject.toml hatch_build.py
	$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

# Everything a newcomer needs: `make run` and `make test`. Each target makes its own environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
# Where this is set, each process of the tests would compile all modules anew.
export PYTHONDONTWRITEBYTECODE =
# Tests wait as often as they compute: for servers, files and clocks.
TESTERS = --dist worksteal -n $$($(BIN)/python -c "import os; print(min(12, 2 * (os.cpu_count() or 1)))")
CHROMIUM := apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help run test test-full fast-suite full-suite screens browser lint format bench lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: $(VENV)/.runtime  ## Start everything on http://127.0.0.1:8000: database, API, worker, mail catcher, demo catalogue
	@exec $(BIN)/python -m app serve --demo

# Tests wait now and then; meanwhile types are checked.
test: $(VENV)/.development  ## Lint, types, layers and tests (under 4 minutes)
	@$(MAKE) --no-print-directory --jobs=2 lint fast-suite

test-full: $(VENV)/.development browser  ## The same with everything slow: a browser, kill loops, load, long fuzzing
	@$(MAKE) --no-print-directory --jobs=2 lint full-suite

fast-suite: tests/__pycache__
	$(BIN)/python -m pytest $(TESTERS)

full-suite: tests/__pycache__
	$(BIN)/python -m pytest $(TESTERS) -m "slow or not slow"

screens: $(VENV)/.development browser  ## Take the pictures of the documentation anew
	$(BIN)/python -m pytest -m slow tests/browser/test_screens.py -k picture
	$(BIN)/python -m tests.browser.chosen_pictures

browser:
	@command -v chromium >/dev/null || { echo "Chromium is needed: $(CHROMIUM)"; [ "$$(id -u)" = 0 ] && $(CHROMIUM); }

# Compiled once for all processes of the tests.
tests/__pycache__: | $(VENV)/.development
	-@$(BIN)/python -m pytest --collect-only >/dev/null

lint: $(VENV)/.development  ## ruff, mypy --strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.development  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.development  ## Run every benchmark; prints ratios
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: $(VENV)/.development  ## Pin the newest allowed dependencies, with hashes
	$(UV_COMPILE) --upgrade -o requirements.lock
	$(UV_COMPILE) --upgrade --group dev -c requirements.lock -o requirements-dev.lock

clean:  ## Remove the environment and caches; the data in ./var stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: requirements.lock | $(VENV)/.created
	@echo "Installing dependencies..."
	@$(PIP) -r requirements.lock
	@touch $@

$(VENV)/.development: requirements-dev.lock | $(VENV)/.created
	@echo "Installing dependencies for development..."
	@$(PIP) -r requirements-dev.lock
	@touch $@ $(VENV)/.runtime

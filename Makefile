# Needs python3 (3.10 or later, with venv) and make; everything else is installed into $(VENV).
# `make` alone lists the targets.  Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
SERVE ?= examples/hello.py
ARGS ?=
# How many tests run at once: on two cores those that wait leave room for one more.
WORKERS ?= 3

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# -bb: comparing bytes with str is an error; -X dev: the interpreter's own run-time checks.
PYTEST := $(BIN)/python -bb -X dev -m pytest

# One stamp per set of packages, so that a second run installs nothing.  The first one carries the
# name of the interpreter: asking for another Python makes the environment anew.
MADE := $(VENV)/.made-with-$(subst /,_,$(PYTHON))
SERVE_READY := $(VENV)/.ready-to-serve
TEST_READY := $(VENV)/.ready-to-test
DEV_READY := $(VENV)/.ready-to-develop
BENCH_MADE := $(BENCH_VENV)/.made-with-$(subst /,_,$(PYTHON))
METADATA := setup.cfg setup.py pyproject.toml
# An older gunicorn for the tests, beside the newest one, which is installed like everything else.
INSTALL_OLD_GUNICORN := $(PIP) install --quiet --no-deps --upgrade --target $(VENV)/old-gunicorn 'gunicorn==25.*'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: serve
serve: $(SERVE_READY) ## Serve an example application on http://127.0.0.1:8000
	@$(BIN)/greenserve $(SERVE) $(ARGS)

# Many tests start a server, which is to find its modules compiled, whatever the machine has been told.
test: export PYTHONDONTWRITEBYTECODE :=
# -X dev checks the memory of C code, too, which takes a seventh of the time, and there is none here.
test: export PYTHONMALLOC := pymalloc

.PHONY: test
test: $(TEST_READY) ## Run the tests (a part of them, one by one: make test WORKERS=0 ARGS="-k chunked")
	@$(PYTEST) --numprocesses $(WORKERS) --dist worksteal $(ARGS)

.PHONY: reliability
reliability: $(TEST_READY) ## Count lost requests as docs/reliability.md does, in about ten minutes
	@$(BIN)/python -m tests.process.reliability $(ARGS)

.PHONY: check
check: lint type test ## Everything that CI runs: lint, type, test

.PHONY: lint
lint: $(DEV_READY) ## Look for mistakes and for files that are not formatted
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

.PHONY: format
format: $(DEV_READY) ## Format the source and mend what can be mended
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: type
type: $(DEV_READY) ## Check the types
	@$(BIN)/mypy

.PHONY: coverage
coverage: $(DEV_READY) ## Run the tests and say which lines none of them reached
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS); status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage html --quiet && $(BIN)/coverage report; \
	exit $$status

# Looks on PATH first and then among pyenv's versions.  A name that is there but does not run
# (pyenv has such) is passed over.  Every version gets an environment of its own, and its time.
.PHONY: test-all
test-all: ## Run the tests on every Python from 3.10 to 3.14 that is found
	@passed=""; failed=""; limit=""; \
	if command -v timeout >/dev/null; then limit="timeout 1200"; fi; \
	installed=""; \
	if command -v pyenv >/dev/null; then installed="$$(pyenv root)/versions"; fi; \
	for version in 3.10 3.11 3.12 3.13 3.14; do \
	    for python in "$$(command -v python$$version)" "$$installed"/*/bin/python$$version; do \
	        "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	        echo "== Python $$version ($$python)"; \
	        if $$limit $(MAKE) --no-print-directory test PYTHON="$$python" VENV=".venvs/$$version"; \
	        then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
	        break; \
	    done; \
	done; \
	echo "== passed:$${passed:- none}; failed:$${failed:- none}"; \
	test -n "$$passed" && test -z "$$failed"

# An environment of its own: the peers are no business of the tests.  The suite installs them there,
# and greenserve as users get it, not as a link to the checkout.
.PHONY: bench
bench: bench-tools $(BENCH_MADE) ## Measure greenserve and its peers, in about 25 minutes (benchmarks/README.md)
	@$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

.PHONY: bench-quick
bench-quick: bench-tools $(BENCH_MADE) ## Measure what a change of the hot path does, in two minutes
	@$(BENCH_VENV)/bin/python -m benchmarks --quick $(ARGS)

.PHONY: bench-tools
bench-tools:
	@missing=""; \
	command -v wrk >/dev/null || missing="$$missing wrk"; \
	command -v h2load >/dev/null || missing="$$missing nghttp2-client"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	test -z "$$missing" || { echo "the benchmarks need more; on Debian: apt-get install$$missing" >&2; exit 1; }

.PHONY: docs
docs: $(SERVE_READY) ## Write docs/settings.md anew from the settings
	@$(BIN)/python -m greenserve.config.reference > docs/settings.md

.PHONY: dist
dist: $(DEV_READY) ## Build the source archive and the wheel
	@$(BIN)/python -m build

.PHONY: clean
clean: ## Remove what make and the tools have made, the environments too
	@rm -rf .venv .venvs .venv-bench benchmarks/results build dist htmlcov .coverage .coverage.* *.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find greenserve tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "greenserve needs Python 3.10 or later: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	    { echo "$(PYTHON) has no venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The environment of the benchmarks, made as the others are.
ifneq ($(MADE),$(BENCH_MADE))
$(BENCH_MADE):
	@$(MAKE) --no-print-directory $@ VENV=$(BENCH_VENV)
endif

$(SERVE_READY): $(MADE) $(METADATA)
	$(PIP) install --quiet --editable .
	@touch $@

$(TEST_READY): $(MADE) $(METADATA)
	$(PIP) install --quiet --editable '.[test]'
	$(INSTALL_OLD_GUNICORN)
	@touch $(SERVE_READY) $@

$(DEV_READY): $(MADE) $(METADATA)
	$(PIP) install --quiet --editable '.[dev]'
	$(INSTALL_OLD_GUNICORN)
	@touch $(SERVE_READY) $(TEST_READY) $@

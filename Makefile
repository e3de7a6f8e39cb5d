# Every target sets up what it needs: on a fresh machine with Python 3.11 to 3.14, make and git, start with `make demo`.
# Done steps are stamped inside $(VENV), so a second run starts at once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin

# What the demo and the tests run is not reported to anybody.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PIP_INSTALL := install --quiet --progress-bar off
# The lock names every package there is to install: pip resolves nothing, checks each hash and refuses the unlisted.
PIP_LOCKED := $(PIP_INSTALL) --no-deps --require-hashes --no-compile --only-binary :all:
# PySpark alone is published without a wheel. It is built by the setuptools of the lock.
PIP_SPARK := $(PIP_INSTALL) --no-deps --require-hashes --no-compile --no-build-isolation --no-binary :all:

.PHONY: help
help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do \
	    printf '  make %-10s %s\n' "$$name" "$$text"; done

# --- Set-up -----------------------------------------------------------------------------------------------------------

# The first Python that fits, or $(PYTHON) if it is given.
$(VENV)/.created:
	@$(PYTHON_FINDER); echo "set-up: $$("$$found" --version) -> $(VENV)"; "$$found" -m venv "$(VENV)"; touch $@

define PYTHON_FINDER
found=; for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
    if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then \
        found=$$candidate; break; fi; \
done; \
if [ -z "$$found" ]; then \
    echo "peculiar needs Python 3.11 to 3.14, but found:" \
        "$$($(or $(PYTHON),python3) --version 2>&1 || echo none)." >&2; \
    echo "Install one of these and run make again, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
fi
endef

# Byte code is compiled here because Python does not write it later where PYTHONDONTWRITEBYTECODE is set, and start-up
# would take three times as long. A few packages ship templates that do not compile, hence the `|| true`.
$(VENV)/.locked: requirements/dev.txt | $(VENV)/.created
	@echo "set-up: packages of $< (some minutes the first time)"
	@$(BIN)/python -m pip $(PIP_LOCKED) -r $<
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@

$(VENV)/.ready: pyproject.toml $(VENV)/.locked
	@echo "set-up: peculiar, editable"
	@$(BIN)/python -m pip $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --quiet
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready ## create .venv from the lock, with peculiar in it as editable

# --- Use ----------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## see the whole promise work: events in, the odd users out, with reasons
	@$(BIN)/peculiar demo

.PHONY: ui
ui: setup ## compare the demo's models in the MLflow UI
	@$(BIN)/peculiar ui

# Featuretools wants an older pandas than ours, so it and tsfresh live apart; experiments/speed.py finds them there.
RIVALS := .venv-rivals
$(RIVALS)/.ready: requirements/rivals.txt
	@echo "set-up: packages of $< -> $(RIVALS)"
	@$(PYTHON_FINDER); "$$found" -m venv "$(RIVALS)"
	@echo '*' > $(RIVALS)/.gitignore
	@$(RIVALS)/bin/python -m pip $(PIP_LOCKED) -r $<
	@$(RIVALS)/bin/python -m compileall -q -j 0 $(RIVALS)/lib >/dev/null 2>&1 || true
	@touch $@

.PHONY: rivals
rivals: $(RIVALS)/.ready ## create .venv-rivals with Featuretools and tsfresh, for experiments/speed.py

PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## run the tests but the long ones and those of Spark, a file at a time on each core; ARGS="-k velocity" selects
	@$(BIN)/python -m pytest $(PARALLEL) -m "not spark and not long" $(ARGS)

.PHONY: test-long
test-long: setup ## run the long tests: experiments at some size, third-party logs, kills
	@$(BIN)/python -m pytest $(PARALLEL) -m "long and not spark" $(ARGS)

# Half a gigabyte that only Spark's own tests need.
$(VENV)/.spark: requirements/spark.txt $(VENV)/.ready
	@echo "set-up: packages of $<"
	@$(BIN)/python -m pip $(PIP_SPARK) -r $<
	@touch $@

.PHONY: test-spark
test-spark: $(VENV)/.spark ## run the tests of Spark on a local cluster; needs Java
	@$(BIN)/python -m pytest -m spark $(ARGS)

# --- Checks: each reads the tree or the built wheel and changes nothing ---------------------------------------------------

.PHONY: check lint text types layers doctests docs wheel smoke format lock clean
check: lint text types layers doctests docs smoke ## everything CI asks besides the tests
	@echo "check: all passed"

lint: setup ## ruff: rules and format
	@echo "== lint"
	@$(BIN)/ruff check --quiet --output-format concise . && $(BIN)/ruff format --check --quiet . \
	    || { echo "lint: run 'make format', then mend what remains" >&2; exit 1; }

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format .

text: setup ## no machine's paths, no registry's hosts, no long functions, changelog fragments well formed
	@echo "== text"
	@$(BIN)/python .ci/machine_names.py
	@$(BIN)/python .ci/long_code.py
	@said=$$($(BIN)/towncrier build --draft --version next 2>&1) || { echo "$$said" >&2; exit 1; }

# The sdist is built from what git would commit, and the wheel from the sdist. It is then unpacked, and what must look at
# an installed copy looks there: by path, modules would be imported twice.
BUILT := .cache/built
wheel: setup
	@echo "== wheel"
	@$(BIN)/python .ci/build.py $(BUILT)

INSTALLED := $(CURDIR)/$(BUILT)/installed
OUTSIDE := cd $(INSTALLED) && PYTHONPATH=$(INSTALLED)

types: wheel ## mypy, strict
	@echo "== types"
	@cd $(INSTALLED) && MYPYPATH=$(INSTALLED) $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml \
	    --cache-dir $(CURDIR)/.mypy_cache --no-error-summary -p peculiar

layers: wheel ## import-linter: one direction
	@echo "== layers"
	@said=$$($(OUTSIDE) $(abspath $(BIN))/lint-imports --config $(CURDIR)/pyproject.toml --no-cache 2>&1) \
	    || { echo "$$said" >&2; exit 1; }

doctests: wheel ## the examples in the docstrings
	@echo "== doctests"
	@$(OUTSIDE) $(abspath $(BIN))/python -m pytest -c $(CURDIR)/pyproject.toml --rootdir $(INSTALLED) \
	    -p no:cacheprovider -q --doctest-modules --pyargs peculiar

docs: setup ## build the documentation; a warning is an error
	@echo "== docs"
	@$(BIN)/sphinx-build -q -W --keep-going -d .cache/doctrees docs docs/_build/html

smoke: wheel ## install the wheel into a clean environment and use it there
	@echo "== smoke"
	@$(BIN)/python .ci/smoke.py $(BUILT)

# --- Upkeep -----------------------------------------------------------------------------------------------------------------

UV_VERSION := 0.13.9
COMPILE := .cache/uv/bin/uv pip compile --universal --python-version 3.11 --fork-strategy fewest \
    --generate-hashes --no-annotate --no-header --no-config --quiet $(ARGS)

.cache/uv/bin/uv:
	@$(PYTHON_FINDER); "$$found" -m venv .cache/uv; .cache/uv/bin/python -m pip $(PIP_INSTALL) uv==$(UV_VERSION)

lock: .cache/uv/bin/uv ## renew requirements/ from pyproject.toml and rivals.in; ARGS=--upgrade moves to the newest versions
	@$(COMPILE) pyproject.toml --extra dev --no-emit-package pyspark --output-file requirements/dev.txt
	@$(COMPILE) requirements/spark.in --constraints requirements/dev.txt --no-emit-package py4j \
	    --output-file requirements/spark.txt
	@$(COMPILE) pyproject.toml --constraints requirements/dev.txt --output-file requirements/run.txt
	@$(COMPILE) requirements/rivals.in --output-file requirements/rivals.txt
	@git --no-pager diff --stat -- requirements

clean: ## remove everything that make made
	@rm -rf $(VENV) $(RIVALS) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis docs/_build docs/reference/generated

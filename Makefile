# Everything a checkout needs: Python 3.11 or newer, make, and nothing installed beforehand.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The targets share one environment and one set of caches; `make -j` must not let `clean` run beside `test`.
.NOTPARALLEL:
.PHONY: bench-cluster bench-gate help demo lab test check bench faults cluster smoke clean lock

# The interpreter that makes .venv. Empty: the first of these that is 3.11 or newer.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Debian ships Python without its venv module; that package is installed where this user may.
define make_venv
	python=; \
	for candidate in $(PYTHONS); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "tamiz needs Python 3.11 or newer; tried: $(PYTHONS). Install it, or: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    package=$${python##*/}-venv; root=none; \
	    if ! command -v apt-get >/dev/null; then \
	        echo "$$python has no venv module: install it, or: make PYTHON=/path/to/python3" >&2; exit 1; \
	    elif [ "$$(id -u)" = 0 ]; then root=; \
	    elif sudo -n true 2>/dev/null; then root="sudo -n"; \
	    fi; \
	    if [ "$$root" != none ]; then \
	        echo "installing $$package (Debian keeps it apart from Python)"; \
	        install="$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$package"; \
	        $$install >/dev/null 2>&1 || said=$$({ $$root apt-get update -qq && $$install; } 2>&1) || echo "$$said" >&2; \
	    fi; \
	    if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	        echo "$$python has no venv module. Type this, then make again:  sudo apt-get install -y $$package" >&2; exit 1; \
	    fi; \
	fi; \
	echo "making $(VENV)"; \
	"$$python" -m venv --clear $(VENV)
endef

help: ## this list
	@echo "usage: make TARGET [ARGS=...] [PYTHON=...]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-7s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## see tamiz at work, on this machine alone
	@$(BIN)/python demo/demo.py $(ARGS)

lab: $(VENV)/.installed ## measure thresholds, caches and arrivals, and report on them; two minutes
	@for name in threshold cache arrivals; do \
	    $(BIN)/tamiz experiment $$name --quick --out lab/$$name $(ARGS) || exit; \
	done

test: $(VENV)/.installed ## run the tests; ARGS goes to pytest
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(VENV)/.installed ## all that CI runs: lint, format, types, imports, tests
	@echo "lint" && $(BIN)/ruff check --quiet
	@echo "format" && $(BIN)/ruff format --check --quiet
	@echo "types" && $(BIN)/mypy --no-error-summary
	@echo "imports" && $(BIN)/lint-imports --no-logo
	@echo "tests" && $(BIN)/python -m pytest -n auto $(ARGS)

bench: $(VENV)/.installed ## measure; ARGS goes to bench/run.py
	@$(BIN)/python bench/run.py $(ARGS)

faults: $(VENV)/.installed ## measure tamiz and others while a provider misbehaves; ten minutes
	@$(BIN)/python bench/faults.py $(ARGS)

cluster: $(VENV)/.installed ## run Kafka, Flink and a MongoDB-compatible server until Ctrl-C; ARGS: the folder of their data
	@$(BIN)/python -m cluster $(ARGS)

smoke: $(VENV)/.installed ## build the images, run the whole stack in containers, ask it 200 questions, take it down
	@PYTHONPATH=. $(BIN)/python docker/smoke/smoke.py

bench-cluster: $(VENV)/.installed ## measure a cluster on this machine; ARGS goes to bench/clusters.py
	@$(BIN)/python bench/clusters.py $(ARGS)

bench-gate: $(VENV)/.installed ## measure the gate on questions that it was not made from; five minutes
	@$(BIN)/python bench/gate/evaluate.py && $(BIN)/python bench/gate/human.py && $(BIN)/python bench/gate/regeneration.py

clean: ## remove .venv, build output and caches; data stays
	@echo "removing $(VENV), build output and caches"
	@rm -rf $(VENV) dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache src/*.egg-info
	@find $(wildcard src tests bench demo docs cluster docker) -type d -name __pycache__ -prune -exec rm -rf {} +

lock: ## renew requirements-dev.txt and those of the images from pyproject.toml; ARGS=--upgrade takes the newest versions
	@[ -x $(BIN)/python ] || { $(make_venv); }
	@echo "locking the requirements"
	@$(PIP) install 'uv==0.13.*'
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --all-extras --group dev $(ARGS) pyproject.toml --output-file requirements-dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --extra kafka --extra mongo --extra serve --extra telemetry --extra gate --constraint requirements-dev.txt \
	    pyproject.toml --output-file docker/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $(ARGS) docker/flink-requirements.in --output-file docker/flink-requirements.txt

# A changed lock makes .venv anew, so that nothing is in it that the lock does not name.
$(VENV)/.locked: requirements-dev.txt
	@$(make_venv)
	@echo "installing the locked requirements"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@echo "installing tamiz"
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

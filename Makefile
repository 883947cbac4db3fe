PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is compiled: an installation made before a change of it would go on with the old one.
COMPILED := hatch_build.py $(wildcard runtime/torchstone_runtime/images/resampling/*.[ch])
STAMP := $(VENV)/.installed
# A second environment, without PyTorch: what tests/runtime needs, and no more.
RUNTIME_VENV := .venv-runtime
RUNTIME_STAMP := $(RUNTIME_VENV)/.installed
# A third one, with OpenVINO's ONNX Runtime in place of the usual one, whose files it would overwrite.
OPENVINO_VENV := .venv-openvino
OPENVINO_STAMP := $(OPENVINO_VENV)/.installed
# A fourth one, with Ray and Spark (which needs Java).
SCALE_VENV := .venv-scale
SCALE_STAMP := $(SCALE_VENV)/.installed
# The GPU runtime only where a GPU is: the two ONNX Runtime wheels overwrite each other's files.
RUNTIME := $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU' && echo gpu || echo cpu)

# Most tests wait for a process of one thread. Files stay whole, so that their fixtures are made once, and keep the
# order that tests/conftest.py gives them.
TWO_AT_ONCE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

# What the minute leaves out: draws by the ten thousand, waiting for quiet, a type checker, wheels, other processes.
QUICK := tests/architecture tests/runtime $(addprefix --ignore tests/,runtime/metrics/test_f1_intervals.py \
	runtime/cli/test_cli_bench.py runtime/doctor runtime/test_types.py runtime/test_hostile.py runtime/report/test_many_classes.py \
	architecture/test_wheel.py architecture/test_runtime_tests_need_no_torch.py)

# Hundreds of processes import the same modules: they are compiled once, also where the environment says not to.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-fast test-quick test-runtime test-openvino test-scale check format docs bench example clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(STAMP) ## create .venv with everything (the gpu runtime where nvidia-smi lists a GPU)

$(STAMP): pyproject.toml constraints.txt $(COMPILED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Torchstone needs Python 3.11 or later; this is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(RUNTIME),serve,train,export,timm,sign]' --group dev
	@touch $(STAMP)

quickstart: install ## train, export, verify and evaluate on real digits, in under a minute after the install
	$(BIN)/torchstone quickstart

test: check ## everything: format, lint, types, import contracts, tests
	$(BIN)/python -m pytest $(TWO_AT_ONCE) -m 'not study'

test-fast: install ## the tests that take less than ten seconds each
	$(BIN)/python -m pytest $(TWO_AT_ONCE) -m 'not slow and not study'

test-quick: install ## a minute: the fast tests of the runtime and of the architecture, on a stored bundle
	$(BIN)/python -m pytest $(TWO_AT_ONCE) --stored-bundle -m 'not slow and not study' $(QUICK)

test-runtime: $(RUNTIME_STAMP) ## the runtime's tests, in an environment of their own without PyTorch
	$(RUNTIME_VENV)/bin/python -m pytest $(TWO_AT_ONCE) --stored-bundle tests/runtime

$(RUNTIME_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RUNTIME_VENV)
	$(RUNTIME_VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(RUNTIME_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,serve]' --group test-runtime
	@touch $(RUNTIME_STAMP)

test-openvino: $(OPENVINO_STAMP) ## the tests of OpenVINO, in an environment of their own with its ONNX Runtime
	$(OPENVINO_VENV)/bin/python -m pytest --stored-bundle tests/runtime/inference/test_openvino.py \
		tests/runtime/inference/test_variants.py tests/runtime/inference/test_classifier.py

$(OPENVINO_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OPENVINO_VENV)
	$(OPENVINO_VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(OPENVINO_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[openvino]' --group test-runtime
	@touch $(OPENVINO_STAMP)

test-scale: $(SCALE_STAMP) ## the tests of Ray and Spark, in an environment of their own (Spark needs Java 17 or later)
	$(SCALE_VENV)/bin/python -m pytest --stored-bundle -m 'not study' tests/runtime/scoring tests/runtime/shards

$(SCALE_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SCALE_VENV)
	$(SCALE_VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(SCALE_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,scale,ray]' --group test-runtime --group test-scale
	@touch $(SCALE_STAMP)

check: install ## format check, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## build the documentation site in site/; a dead link is an error
	$(BIN)/python docs/tools/site.py
	@echo 'To read it with search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory site'

bench: install ## measure speed and memory against PyTorch and OpenVINO, and write docs/reference/benchmarks.md
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m benchmarks.runtime.run_all

EXAMPLE := runtime/torchstone_runtime/bundle/builtin/fashion
example: install ## replace the built-in bundle by that of a training: make example RUN=runs/stone-m
	@test -n "$(RUN)" || { echo 'Name the run: make example RUN=runs/stone-m' >&2; exit 2; }
	$(BIN)/torchstone export $(RUN) --out $(EXAMPLE) --no-torchscript --int8 --default-variant int8
	$(BIN)/python -m pytest -q tests/runtime/bundle/test_builtin.py

clean: ## remove .venv and what tools and the quickstart left
	rm -rf $(VENV) $(RUNTIME_VENV) $(OPENVINO_VENV) $(SCALE_VENV) .benchmarks quickstart dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

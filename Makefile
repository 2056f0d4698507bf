# Everything stays in this folder: the environment and caches in .venv, the demo's files in demo/.
#
#   PYTHON=/path/to/python3.12   which Python to build the environment with (3.11 to 3.13; detected by default)
#   TORCH_INDEX=URL              an additional package index, e.g. that of torch's CPU-only builds (see torch's installation page)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
TORCH_INDEX ?=
DEMO_RECIPE := recipes/digits/bilstm.yaml
DEMO_RUN := demo/run
SENTENCE := recipes/english/sentence.ogg

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
LOG := $(VENV)/install.log
PIP_INSTALL := $(PY) -m pip --disable-pip-version-check --no-input install -c constraints.txt \
    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
OR_FAIL := || { tail -n 30 $(LOG) >&2; echo "make: the set-up failed; pip's whole output is in $(LOG)" >&2; exit 1; }

define DEMO_FILES
from pathlib import Path
from asr.data.manifest import read_manifest
print(*[utterance.audio for utterance in read_manifest(Path("$(DEMO_RUN)/data/test.jsonl"))[:3]], sep="\n")
endef
export DEMO_FILES

# torch is not locked: which build it is, for a CPU or which CUDA, is the user's choice.
define UNLOCKED
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = [project["optional-dependencies"][name] for name in ("media", "onnx", "sentencepiece", "server", "sweeps")]
print(*[line for line in sum(extras, project["dependencies"]) if not line.startswith("torch>")], sep="\n")
endef
export UNLOCKED

export MPLCONFIGDIR := $(CURDIR)/$(VENV)/cache/matplotlib
export PYTHONUNBUFFERED := 1

.PHONY: help
help: ## list the targets (this list)
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## build the environment in .venv (1 to 3 minutes, once)

.PHONY: demo
demo: $(READY) ## make a small spoken-digits corpus, train on it, transcribe, show the error report; one sentence by the starter
	@$(PY) -m asr run $(DEMO_RECIPE) run_dir=$(DEMO_RUN)
	@printf '\nTranscripts of three recordings that were not used in training:\n'
	@$(PY) -c "$$DEMO_FILES" | xargs -d '\n' $(PY) -m asr transcribe $(DEMO_RUN)/model
	@printf '\n'; sed -n 1,8p $(DEMO_RUN)/report.md; printf 'The full report: %s\n' $(DEMO_RUN)/report.md
	@printf '\n'; if [ -f pretrained/english/config.json ]; then \
	    printf 'A sentence, by the model that comes with the package (asr transcribe %s):\n' $(SENTENCE); \
	    $(PY) -m asr transcribe $(SENTENCE); \
	    else echo 'This checkout comes without the model `english`: no sentence is transcribed with it.'; fi

# A test file stays in one process, so that what its tests share is made once; tests/conftest.py orders the files.
PYTEST = mkdir -p $(VENV)/tmp && $(PY) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile \
    --no-loadscope-reorder --basetemp=$(VENV)/tmp/pytest

.PHONY: test
test: $(READY) ## run the quick tests, on all cores (up to 4)
	@$(PYTEST)

.PHONY: test-all
test-all: $(READY) ## run all tests, the slow ones too
	@$(PYTEST) -m "slow or not slow" --timeout=3600

.PHONY: torture
torture: $(READY) ## bad input, hostile files, kills, full disks: an hour, or SIZE=0.1 of it, ROW=3 of its table; writes docs/torture.json
	@export TORTURE=$(or $(SIZE),1); $(PYTEST) -p tests.faults.torture -m "slow or not slow" --timeout=7200 \
	    $$($(PY) -c 'from tests.faults.torture import files; print(*files("$(ROW)"))')

.PHONY: fuzz
fuzz: $(READY) ## change files of every format at random and read them (with atheris, too, if installed): FUZZ_S=60 seconds each
	@export FUZZ_S=$(or $(FUZZ_S),60); $(PYTEST) --timeout=3600 tests/faults/test_fuzz.py
	@! $(PY) -c 'import atheris' 2>/dev/null || $(PY) -m tests.faults.guided_fuzz --seconds $(or $(FUZZ_S),60)

FSDD := ../shared/corpora/free-spoken-digit-dataset
AN4 := ../shared/corpora/an4
ARTICLE := docs/lstm
FAMILY := runs/family
JOBS := 2
FSDD_BUDGET := $(foreach one,epochs=15 keep_last=5 evaluate_from_epoch=15 flat_start_epochs=2,--set training.$(one))
AN4_BUDGET := --parameters 1300000 --set data.batching.batch_s=15 \
    $(foreach one,epochs=20 keep_last=5 evaluate_from_epoch=16,--set training.$(one))

.PHONY: article
article: $(READY) ## make all figures of docs/lstm.md (a night; rerun to resume): FSDD=CORPUS AN4=CORPUS JOBS=2
	$(PY) -m asr probe gradients --out $(ARTICLE)
	$(PY) -m asr probe gradients --members rnn gru lstm-1 --seeds 1 2 3 --input-scale 0.1 --out $(FAMILY)/small-inputs
	cp $(FAMILY)/small-inputs/gradients.json $(ARTICLE)/gradients-small-inputs.json
	$(PY) -m asr probe recall --out $(ARTICLE)
	$(PY) -m asr probe time --lengths-s 1 4 16 40 --rounds 3 --out $(ARTICLE)
	$(PY) -m asr probe family recipes/fsdd --corpus $(FSDD) --jobs $(JOBS) --lengths-s 1 10 --out $(FAMILY)/fsdd \
	    $(FSDD_BUDGET)
	$(PY) -m asr probe family recipes/fsdd --members transformer --data $(FAMILY)/fsdd/data --jobs $(JOBS) --lengths-s 1 10 \
	    --out $(FAMILY)/fsdd-transformer
	cp $(FAMILY)/fsdd-transformer/family.json $(ARTICLE)/family-fsdd-transformer.json
	$(PY) -m asr probe directions recipes/fsdd --data $(FAMILY)/fsdd/data --jobs $(JOBS) --out $(FAMILY)/fsdd $(FSDD_BUDGET)
	$(PY) -m asr probe gradients --out $(ARTICLE) --manifest $(FAMILY)/fsdd/data/test.jsonl --utterances 100 --distance 40 \
	    $(foreach one,rnn-1 rnn-2 rnn-3 gru-1 lstm-1 bilstm-1,--model $(FAMILY)/fsdd/runs/$(one)/model)
	$(PY) -m asr probe gates $(foreach seed,1 2 3,$(FAMILY)/fsdd/runs/bilstm-$(seed)/model) \
	    $(FAMILY)/fsdd/data/test.jsonl --out $(ARTICLE)
	$(PY) -m asr probe context $(foreach seed,1 2 3,$(FAMILY)/fsdd/runs/bilstm-$(seed)/model) \
	    $(FAMILY)/fsdd/data/test.jsonl --frames 4 8 16 24 32 48 64 --out $(ARTICLE)
	$(PY) -m asr probe family recipes/an4 --members rnn gru lstm bilstm transformer --corpus $(AN4) --jobs $(JOBS) \
	    --lengths-s 1 10 --out $(FAMILY)/an4 $(AN4_BUDGET)
	$(PY) -m asr probe directions recipes/an4 --data $(FAMILY)/an4/data --jobs $(JOBS) --out $(FAMILY)/an4 $(AN4_BUDGET)
	for name in fsdd an4; do for kind in json md png; do \
	    cp $(FAMILY)/$$name/family.$$kind $(ARTICLE)/family-$$name.$$kind; done; done
	for kind in json md png; do cp $(FAMILY)/fsdd/directions.$$kind $(ARTICLE)/; \
	    cp $(FAMILY)/an4/directions.$$kind $(ARTICLE)/directions-an4.$$kind; done

.PHONY: gpu
gpu: $(READY) ## measure a GPU; with DATA=FOLDER also train the English starter (10 minutes a call; rerun to resume)
	@$(PY) benchmarks/gpu.py $(if $(DATA),--data $(DATA) --bring runs/gpu/results)

.PHONY: check
check: $(READY) ## lint, check the formatting and the types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

.PHONY: format
format: $(READY) ## format the code
	@$(PY) -m ruff check --fix --exit-zero .
	@$(PY) -m ruff format .

.PHONY: conf
conf: $(READY) ## write the default files of conf/ from the dataclasses
	@$(PY) -m asr.config.defaults

.PHONY: docs
docs: $(READY) ## build the documentation as a site into build/site, which opens from disk
	@$(PY) -c 'import mkdocs, material, mkdocstrings_handlers.python' 2>/dev/null || \
	    $(PIP_INSTALL) -e '.[docs]' >>$(LOG) 2>&1 $(OR_FAIL)
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

.PHONY: wheel
wheel: $(READY) ## build the wheel into dist/
	@$(PY) -m hatchling build -t wheel -d dist

.PHONY: versions
versions: $(READY) ## train and transcribe a little with the lowest, the listed and the newest versions that are allowed
	@$(PY) .ci/versions.py

.PHONY: lock
lock: $(READY) ## write requirements.lock: the versions of constraints.txt with the SHA-256 of every file of theirs
	@$(PY) -c 'import uv' 2>/dev/null || $(PIP_INSTALL) uv >>$(LOG) 2>&1 $(OR_FAIL)
	@$(PY) -c "$$UNLOCKED" | $(PY) -m uv pip compile - --constraint constraints.txt --generate-hashes --universal \
	    --python-version 3.11 --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.lock

.PHONY: audit
audit: $(READY) ## look for known weaknesses in the versions of requirements.lock, and in torch
	@$(PY) -c 'import pip_audit' 2>/dev/null || $(PIP_INSTALL) pip-audit >>$(LOG) 2>&1 $(OR_FAIL)
	@$(PY) -m pip_audit --strict --no-deps --disable-pip --requirement requirements.lock \
	    --requirement <(grep '^torch==' constraints.txt)

.PHONY: sbom
sbom: $(READY) ## write dist/sbom.cdx.json: what the package is made of (CycloneDX)
	@$(PY) -c 'import cyclonedx_py' 2>/dev/null || $(PIP_INSTALL) cyclonedx-bom >>$(LOG) 2>&1 $(OR_FAIL)
	@$(PY) .ci/sbom.py

.PHONY: clean
clean: ## remove the environment, the demo and all caches (runs/ and data/ stay)
	rm -rf $(VENV) demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch first: it is the largest and the most likely to fail, and no other package's requirement may replace it.
$(READY): pyproject.toml constraints.txt
	@python=$$(for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	    "$$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	    && echo "$$name" && break; done || true); \
	if [ -z "$$python" ]; then \
	    echo "make: $(or $(PYTHON),python3) is not a Python 3.11 to 3.13 with venv and pip (Debian: apt install" \
	         "python3-venv); choose another with: make PYTHON=/path/to/python3.12" >&2; exit 2; fi; \
	$(PY) -c 'import pip' 2>/dev/null || "$$python" -m venv --clear $(VENV)
	@echo "Setting up $(VENV), once; details go to $(LOG)"
	@echo "  torch (200 MB the CPU build, gigabytes with CUDA) ..."
	@$(PIP_INSTALL) torch >$(LOG) 2>&1 $(OR_FAIL)
	@echo "  everything else ..."
	@$(PIP_INSTALL) -e '.[dev,sentencepiece]' >>$(LOG) 2>&1 $(OR_FAIL)
	@touch $@

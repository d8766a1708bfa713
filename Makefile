# eimf-local: `make` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
RUNS ?= runs
SHELL := bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install reproduce test check bench bench-scale bench-recbole campaign docs results cells model model-eval bundle dist clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

install: .venv/.installed ## create .venv and install the locked dependencies (compiles llama.cpp: some minutes)

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "eimf-local needs Python 3.11 or 3.12; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@touch $@

reproduce: install ## run the whole method on the embedded demo: report in runs/demo/report.html
	$(BIN)/eimf-local reproduce demo --out $(RUNS)/demo

test: install ## run the tests (a few minutes)
	$(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile

check: install ## ruff, mypy --strict, and that docs/cli.md is what --help says
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.cli_docs --check

bench: install ## time what is made fast beside its alternatives: make bench [DATASET=prepared] [RUN=trained] [VOCABULARY=qwen2.gguf]
	mkdir -p build/bench
	-$(BIN)/python -m tests.benchmarks.training_step | tee build/bench/step.txt
	-$(BIN)/python -m tests.benchmarks.serving $(if $(RUN),--run $(RUN)) | tee build/bench/serving.txt
	$(if $(DATASET),-$(BIN)/python -m tests.benchmarks.evaluation --dataset $(DATASET) | tee build/bench/evaluation.txt)
	$(BIN)/python -m tests.benchmarks.affinity_propagation $(if $(DATASET),--dataset $(DATASET)) | tee build/bench/ap.txt
	$(if $(DATASET),$(BIN)/python -m tests.benchmarks.sparse_propagation --dataset $(DATASET) | tee build/bench/sparse.txt)
	$(if $(VOCABULARY),$(BIN)/python -m tests.benchmarks.llm_inference --vocabulary $(VOCABULARY) | tee build/bench/llm.txt)

bench-recbole: install ## SASRec beside RecBole 1.2.1, which gets Python 3.11 of its own: make bench-recbole DATASET=prepared
	mkdir -p build/bench
	test -x build/recbole/bin/python || $(PYTHON) -m venv build/recbole
	build/recbole/bin/python -m pip install --disable-pip-version-check -q recbole==1.2.1 torch==2.13.0 'numpy<1.24' \
		'scipy<1.12' 'pandas<2.2' 'setuptools<81'
	$(BIN)/python -m tests.benchmarks.sasrec_training --dataset $(DATASET) --python build/recbole/bin/python \
		| tee build/bench/recbole.txt

bench-scale: install ## affinity propagation up to a million simulated users: make bench-scale DATASET=prepared
	$(BIN)/python -m tests.benchmarks.sparse_propagation --scale --dataset $(DATASET) \
		--out docs/results/affinity-propagation.json

campaign: install ## kill, alter, starve, fuzz and feed rubbish, and count what is lost: make campaign [SEED=0] [KILLS=200]
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --upgrade --target build/atheris atheris==3.0.0
	PYTHONPATH=build/atheris $(BIN)/python -m tests.campaigns --seed $(or $(SEED),0) --kills $(or $(KILLS),200)

docs: install ## regenerate docs/cli.md from --help
	$(BIN)/python -m tests.cli_docs

results: install ## keep finished grids in docs/results/cells and write docs/results.md: make results [GRIDS="runs/office"]
	set -e; for grid in $(GRIDS); do \
		$(BIN)/python -m eimf_local.reproduction.cell_records keep $$grid docs/results/cells/$$(basename $$grid); done
	$(BIN)/python -c 'from pathlib import Path; from eimf_local.evaluation.report import write_results_page; \
		here = Path("docs/results"); write_results_page(sorted((here / "cells").glob("*/")), Path("docs/results.md"), \
		sorted(here.glob("*.md")))'

cells: install ## put the cells kept in docs/results/cells into a grid's folder, to go on from there: make cells GRID=runs/office
	$(BIN)/python -m eimf_local.reproduction.cell_records restore docs/results/cells/$(notdir $(GRID)) $(GRID)

model: install ## train the bundled GGUF from scratch; an interrupted training goes on: make model [TITLES="folders of shops"]
	$(BIN)/python -m eimf_local_models.builder --out build/model $(foreach folder,$(TITLES),--titles '$(folder)')

model-eval: install ## measure the bundled GGUF against its bars: make model-eval [DATA=folder of data sets] [MODEL=file.gguf]
	$(BIN)/python -m eimf_local_models.builder.evaluate $(if $(MODEL),--model $(MODEL)) $(if $(DATA),--data $(DATA))

bundle: install ## one tar for machines without network: make bundle [MODELS="a.gguf b.gguf"] [DATA=folder]
	$(BIN)/python -m eimf_local_models.bundle --out dist $(foreach model,$(MODELS),--model '$(model)') \
		$(if $(DATA),--data '$(DATA)')

dist: install ## build wheel and sdist, then run the demo from the wheel
	rm -rf dist build/wheel-site build/wheel-demo
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --target build/wheel-site dist/*.whl
	cd build && PYTHONPATH=$(CURDIR)/build/wheel-site ../$(BIN)/python -m eimf_local_cli reproduce demo --out wheel-demo

clean: ## remove what builds and tests left behind (not .venv, your runs, or a model in training)
	rm -rf build/wheel-* build/bench build/recbole build/lib build/bdist* dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# bvalign: `make` lists what there is. ARGS="..." reaches the command line of any reproduce target.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# A CPU-only torch is smaller by 4 GB: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup docs test test-slow test-hostile lint format clean reproduce-digits reproduce-mnist \
	reproduce-fashion-mnist reproduce-cifar10 reproduce-cifar10-fast reproduce-cifar10n \
	reproduce-cifar100 reproduce-imagenet reproduce-trec reproduce-trec-bert experiments-small \
	experiments-paper ensembles findings

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-26s %s\n", $$1, $$2}'
	@echo '  ARGS="--model.members=8 --trainer.devices=1" passes options to a reproduce target'

setup: $(STAMP)  ## create .venv with all dependencies in the tested versions

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install -q torch torchvision -i $(TORCH_INDEX))
	$(BIN)/pip install -q -e '.[dev]' $(if $(TORCH_INDEX),,-c constraints.txt)
	@touch $@

# networks this small gain nothing from a second thread and lose much when the core is shared
reproduce-digits: export OMP_NUM_THREADS ?= 1
reproduce-digits: setup  ## the alignment picture on bundled data: 64 members, minutes on a laptop
	$(BIN)/bvalign fit --config configs/digits.yaml $(ARGS)

reproduce-mnist: setup  ## MNIST, 16 CNNs
	$(BIN)/bvalign fit --config configs/mnist.yaml $(ARGS)

reproduce-fashion-mnist: setup  ## Fashion-MNIST, 16 CNNs
	$(BIN)/bvalign fit --config configs/fashion-mnist.yaml $(ARGS)

reproduce-cifar10: setup  ## the paper's main experiment: CIFAR-10, ResNet-20 (needs a GPU)
	$(BIN)/bvalign fit --config configs/cifar10.yaml $(ARGS)

reproduce-cifar10-fast: setup  ## CIFAR-10, 64 members of ten epochs (made for one GPU)
	$(BIN)/bvalign fit --config configs/cifar10-fast.yaml $(ARGS)

reproduce-cifar100: setup  ## CIFAR-100, ResNet-56 (needs a GPU)
	$(BIN)/bvalign fit --config configs/cifar100.yaml $(ARGS)

reproduce-cifar10n: setup  ## CIFAR-10 with human labels, 40% of them wrong (needs a GPU)
	$(BIN)/bvalign fit --config configs/cifar10n.yaml $(ARGS)

reproduce-imagenet: setup  ## ImageNet, ResNet-50: ARGS="--data.root=DIR" (needs several GPUs)
	$(BIN)/bvalign fit --config configs/imagenet.yaml $(ARGS)

reproduce-trec: setup  ## questions (TREC), 16 small transformers
	$(BIN)/bvalign fit --config configs/trec.yaml $(ARGS)

reproduce-trec-bert: setup  ## questions (TREC), BERT fine-tuned (needs a GPU)
	$(BIN)/pip install -q -e '.[text]' $(if $(TORCH_INDEX),,-c constraints.txt)
	$(BIN)/bvalign fit --config configs/trec-bert.yaml $(ARGS)

experiments-small: setup  ## every experiment of the paper with small networks, under 3 hours on 2 cores
	$(BIN)/python experiments/lab/run.py all --size small --workers 2 $(ARGS)
	$(MAKE) findings

experiments-paper: setup  ## every experiment at the size of the paper (days on several GPUs)
	$(BIN)/python experiments/lab/run.py all --size paper $(ARGS)
	$(MAKE) findings

findings: setup  ## docs/findings.md and its figures from the committed results
	$(BIN)/python experiments/lab/paper_figures.py
	$(BIN)/python experiments/lab/findings.py

ensembles: setup  ## train the missing members of experiments/ensembles (hours of two cores)
	$(BIN)/python experiments/lab/kept.py $(ARGS)

# a worker per core; more than four would wait for the longest file, and each takes a gigabyte
PYTEST := $(BIN)/python -m pytest -q -n logical --maxprocesses=4 --dist loadgroup

test: setup lint  ## lint, then what a change needs, side by side on up to four cores
	$(PYTEST) -m "not slow"

# every report answers all questions: to check their shapes everywhere would take minutes
test-slow: setup  ## what takes longer: browser, crash points, several nodes, walkthroughs
	$(PYTEST) -m slow -rs
	$(PYTEST) -m "not slow" --jaxtyping-packages=bvalign.decisions,beartype.beartype tests/decisions

test-hostile: setup  ## all tests in environments that must not matter, one after another
	tests/hostile.sh $(abspath $(BIN))/python

docs: setup  ## the documentation site, docs/_build/html/index.html; every link is checked
	$(BIN)/python -m sphinx -q -W -j auto -b html -c docs -d docs/_build/doctrees . docs/_build/html

lint: setup  ## format check and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: setup  ## format, and fix lint where possible
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove caches and .venv; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands: `make book` and `make test`. The rest is in `make help`.

PYTHON    ?= python3
PROFILE   ?= laptop
ARTIFACTS ?= artifacts
WORKERS   ?= 2

# Threads that wait by spinning can stall PyTorch when anything else runs on the machine.
export OMP_WAIT_POLICY ?= PASSIVE

VENV      := .venv
PY        := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

PROSE      := README.md CHANGELOG.md CONTRIBUTING.md $(wildcard book/*.md book/api/*.md book/handouts/*.md notebooks/*.md)
DDOQ       := $(VENV)/bin/ddoq
SECOND     := --student resnet18 --ipc 10 --labels soft --method random_real --method d4m --method ddoq
ON_FASHION := -p dataset=fashion_mnist -p train_size=6000 -p 'data_root=$(FASHION)'

.DEFAULT_GOAL := help
.PHONY: help book test test-slow test-gpu lint table ablations lab install clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
	@echo
	@echo "Variables: PYTHON=$(PYTHON) (makes .venv), PROFILE=$(PROFILE), ARTIFACTS=$(ARTIFACTS), WORKERS=$(WORKERS) (of the tests)"

book: $(INSTALLED) ## execute the notebooks, render the book to _build/html/index.html, check it
	$(PY) book/tools/execute.py --profile '$(PROFILE)' --out book/chapters --artifacts '$(ARTIFACTS)'
	$(PY) book/tools/render.py

test: $(INSTALLED) ## fast tests: mathematics, promises, every notebook at smoke size, the book in a browser
	$(PY) -m pytest -m "not slow" --numprocesses $(WORKERS) --durations 15

test-slow: $(INSTALLED) ## tests that take longer: full-size models, kill and resume
	$(PY) -m pytest -m slow --numprocesses $(WORKERS) --durations 25

test-gpu: $(INSTALLED) ## what only a GPU can prove: that it agrees with the CPU
	$(PY) -m pytest tests/gpu -ra

lint: $(INSTALLED) ## code, types, spelling and prose; the last line counts warnings of form
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m codespell_lib
	$(PY) -m proselint check $(PROSE)
	$(PY) book/tools/prose.py

table: $(INSTALLED) ## the long run of Table 1 (hours); goes on from book/results. FASHION=folder of Fashion-MNIST's files, of which 6,000 training images are taken
	$(DDOQ) record table --out book/results/table --artifacts '$(ARTIFACTS)' --student convnet-32
	$(DDOQ) record table --out book/results/table --artifacts '$(ARTIFACTS)' $(SECOND)
	$(DDOQ) record baselines --out book/results/baselines --artifacts '$(ARTIFACTS)'
ifdef FASHION
	$(DDOQ) record table --out book/results/table --artifacts '$(ARTIFACTS)' --student convnet-32 $(ON_FASHION)
	$(DDOQ) record table --out book/results/table --artifacts '$(ARTIFACTS)' $(SECOND) $(ON_FASHION)
	$(DDOQ) record baselines --out book/results/baselines --artifacts '$(ARTIFACTS)' $(ON_FASHION)
endif

ablations: $(INSTALLED) ## the long runs of the protocol's tuning, of its second round and of chapter 34; FASHION as above
	$(DDOQ) record tuning --out book/results/tuning --artifacts '$(ARTIFACTS)'
	$(DDOQ) record ablations --out book/results/ablations --artifacts '$(ARTIFACTS)'
	$(DDOQ) record zipf --out book/results/zipf --artifacts '$(ARTIFACTS)'
	$(DDOQ) record controlled --out book/results/controlled --artifacts '$(ARTIFACTS)'
	$(DDOQ) record weights --out book/results/weights --artifacts '$(ARTIFACTS)'
	$(DDOQ) record exponents --out book/results/exponents --artifacts '$(ARTIFACTS)'
	$(DDOQ) record exponents_controlled --out book/results/exponents --artifacts '$(ARTIFACTS)'
	$(DDOQ) record labels --out book/results/labels --artifacts '$(ARTIFACTS)'
ifdef FASHION
	$(DDOQ) record weights --out book/results/weights --artifacts '$(ARTIFACTS)' $(ON_FASHION)
	$(DDOQ) record exponents --out book/results/exponents --artifacts '$(ARTIFACTS)' $(ON_FASHION)
endif

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	$(PY) -m jupyter lab notebooks

install: $(INSTALLED) ## make .venv and install what the other commands need

clean: ## remove the rendered book and the executed notebooks; artifacts and .venv stay
	rm -rf _build book/chapters

# An existing .venv is used as it is; pip adds what it lacks.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ddoq needs Python 3.11 or newer, and '$(PYTHON)' is not; try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What an older version left (egg-info) would hide the studies and commands that this one declares.
$(INSTALLED): pyproject.toml constraints.txt | $(PY)
	rm -rf ddoq_core.egg-info
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[bench,book,dev,pipeline]'
	@touch $@

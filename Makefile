# Everything runs in .venv, which the first target that needs it makes.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_SIZE := 384

.PHONY: help setup demo studio test lint format docs screenshots chromium clean

help:
	@echo "make demo    set up, then stylize a bundled photo with a bundled painting"
	@echo "make studio  set up, then serve the page to make pictures in, and open it"
	@echo "make test    set up, then run the whole test suite"
	@echo "make docs    set up, then build the documentation into site/"
	@echo "make screenshots  set up, then picture the page in each of its states"
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
	$(BIN)/impasto examples/photos/coffee.png examples/paintings/cafe_terrace.webp --size $(DEMO_SIZE) -o stylized/demo.png --force

studio: setup
	$(BIN)/impasto studio --open

test: setup chromium
	$(BIN)/pytest

# The page's tests need a browser. Where it can't be installed they are skipped, and say so.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| echo "no Chromium here, and none could be installed: the page's tests will be skipped"

docs: setup
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

screenshots: setup chromium
	$(BIN)/python tests/browser/screenshots.py stylized/screenshots

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) stylized site

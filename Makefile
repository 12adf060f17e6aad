# Every target sets up .venv by itself; Python 3.11, Java 17 and a package index are all it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Two processes, a file's tests in one of them: each has a Spark and models of its own, some 6 GB together.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit lint bench lock clean check-python check-java

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/ready check-java ## Profile a small drawn corpus: report in demo/report.html, tables in demo/warehouse
	$(BIN)/parrot demo --to demo

test: $(VENV)/ready check-java ## Run every test
	$(BIN)/python -m pytest tests $(SIDE_BY_SIDE)

test-unit: $(VENV)/ready ## Run the tests that need no Java
	$(BIN)/python -m pytest tests/unit $(SIDE_BY_SIDE)

lint: $(VENV)/ready ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready check-java ## Run the benchmarks (minutes each); they print ratios
	for file in benchmarks/[a-z]*.py; do echo "== $$file" && $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

lock: $(VENV)/ready ## Resolve requirements.lock anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --constraints constraints.txt --all-extras --generate-hashes --no-annotate --no-emit-index-url \
		--python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
		--custom-compile-command "make lock" --output-file requirements.lock

clean: ## Remove the demo and caches (not .venv)
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache build *.egg-info

$(VENV)/ready: requirements.lock pyproject.toml | check-python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

check-python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 is needed: install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }

check-java:
	@"$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | grep -qE 'version "(17|21)' || \
		{ echo "Java 17 is needed: install it (openjdk-17-jre-headless), or point JAVA_HOME to it" >&2; exit 1; }

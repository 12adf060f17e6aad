# Every target sets up .venv by itself; Python 3.11 or 3.12, Java 17 and a package index are all it needs.
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do $$name -c 'import sys; print(sys.executable)' 2>/dev/null && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Training with petastorm as feed: petastorm wants a numpy and a pyarrow that nothing else wants.
TRAIN_VENV := .venv-train
# The documentation's own tools, none of which the code needs.
DOCS_VENV := .venv-docs
# Other versions that users run parrot with (make test-lines).
DATABRICKS_VENV := .venv-databricks-17.3
DATABRICKS_PINS := deploy/databricks/requirements-17.3-ml.txt
RUNTIME_PYTHON ?= $(or $(shell python3.12 -c 'import sys; print(sys.executable)' 2>/dev/null),$(PYTHON))
SPARK_35_VENV := .venv-spark-3.5
# uv links what two environments share (torch above all) to one copy in its cache. Bytecode is made now: where Python
# may not write it (PYTHONDONTWRITEBYTECODE), every process would compile all that it imports.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode
UV := uv==0.13.9
# Two processes, a file's tests in one of them: each has a Spark and models of its own, some 6 GB together.
# In the order of the folders: the long files are at the front (e2e, spark), what is left at the end is short (unit).
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help demo docs test test-unit test-lines train-env lint bench lock clean check-python check-java

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/ready check-java ## Profile a small drawn corpus: report in demo/report.html, tables in demo/warehouse
	$(BIN)/parrot demo --to demo

docs: $(DOCS_VENV)/ready ## Build the documentation's pages: build/docs/index.html
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --quiet --strict

test: $(VENV)/ready $(TRAIN_VENV)/ready check-java ## Run every test
	$(BIN)/python -m pytest tests $(SIDE_BY_SIDE)

test-unit: $(VENV)/ready ## Run the tests that need no Java
	$(BIN)/python -m pytest tests/unit $(SIDE_BY_SIDE)

test-lines: test $(DATABRICKS_VENV)/ready $(SPARK_35_VENV)/ready ## Run every test three times: the lock, Databricks 17.3's versions, Spark 3.5
	for line in $(DATABRICKS_VENV) $(SPARK_35_VENV); do \
		echo "== $$line" && $$line/bin/python -m pytest tests $(SIDE_BY_SIDE) || exit 1; done

train-env: $(TRAIN_VENV)/ready ## Make .venv-train: training with petastorm as feed

lint: $(VENV)/ready ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready check-java ## Run the benchmarks (minutes each); ratios are printed, and added to benchmarks/RESULTS.md
	for file in $$(grep -l __main__ benchmarks/[a-z]*.py); do echo "== $$file" && \
		PARROT_RESULTS=benchmarks/RESULTS.md $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock"
LOCK = $(COMPILE) pyproject.toml

lock: $(VENV)/ready ## Resolve all locks anew from pyproject.toml and constraints.txt, for Python 3.11 and 3.12
	$(LOCK) --constraints constraints.txt --extra spark --extra s3 --extra train --extra download --extra evaluate \
		--extra rapidocr --extra segment --extra athena --extra dev --output-file requirements.lock
	$(LOCK) --constraints requirements.lock --extra s3 --extra download --extra rapidocr --extra segment --extra athena \
		--output-file requirements-runtime.lock
	cp requirements.lock requirements-petastorm.lock # what both can have, both have: it is then installed once
	$(LOCK) --constraints constraints.txt --extra spark --extra s3 --extra train-petastorm --output-file requirements-petastorm.lock
	$(COMPILE) --group docs --output-file requirements-docs.lock
	PATH=$(abspath $(BIN)):$$PATH python deploy/databricks/resolve.py

clean: ## Remove the demo, what was built and caches (not .venv and its like)
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache build *.egg-info

$(VENV)/ready: requirements.lock pyproject.toml | check-python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(UV)
	$(INSTALL) --python $(VENV) --require-hashes --requirement requirements.lock
	$(INSTALL) --python $(VENV) --no-deps --editable .
	touch $@

$(TRAIN_VENV)/ready: requirements-petastorm.lock pyproject.toml | $(VENV)/ready
	$(PYTHON) -m venv --without-pip $(TRAIN_VENV)
	$(INSTALL) --python $(TRAIN_VENV) --require-hashes --requirement requirements-petastorm.lock
	$(INSTALL) --python $(TRAIN_VENV) --no-deps --editable .
	touch $@

$(DOCS_VENV)/ready: requirements-docs.lock | $(VENV)/ready
	$(PYTHON) -m venv --without-pip $(DOCS_VENV)
	$(INSTALL) --python $(DOCS_VENV) --require-hashes --requirement requirements-docs.lock
	touch $@

# The runtime's Python, where it is there; without extra s3, which the runtime's botocore does not allow.
$(DATABRICKS_VENV)/ready: $(DATABRICKS_PINS) pyproject.toml | $(VENV)/ready
	$(RUNTIME_PYTHON) -m venv --without-pip $(DATABRICKS_VENV)
	sed 's/~=/==/' $(DATABRICKS_PINS) >$(DATABRICKS_VENV)/pins.txt
	$(INSTALL) --python $(DATABRICKS_VENV) --requirement $(DATABRICKS_VENV)/pins.txt --constraints $(DATABRICKS_VENV)/pins.txt \
		--editable '.[train,download,evaluate,rapidocr,segment,athena,dev]' pyspark==4.0.5 delta-spark==4.0.1
	touch $@

$(SPARK_35_VENV)/ready: requirements.lock pyproject.toml | $(VENV)/ready
	$(PYTHON) -m venv --without-pip $(SPARK_35_VENV)
	$(INSTALL) --python $(SPARK_35_VENV) --require-hashes --requirement requirements.lock
	$(INSTALL) --python $(SPARK_35_VENV) --no-deps --editable . pyspark==3.5.9 delta-spark==3.3.3 py4j==0.10.9.7
	touch $@

check-python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || \
		{ echo "Python 3.11 or 3.12 is needed: install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }

check-java:
	@"$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | grep -qE 'version "(17|21)' || \
		{ echo "Java 17 is needed: install it (openjdk-17-jre-headless), or point JAVA_HOME to it" >&2; exit 1; }

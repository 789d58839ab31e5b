# Everything here needs Python 3.11 to 3.13 and make, nothing else: each target first
# makes its environment in $(VENV), or repairs it (tools/environment.py says how).
#
#   make demo     the whole main job on the sample data, into demo-output/
#   make test     every test          make quick    the tests that take no time
#   make test-tfio    reading through tensorflow-io, which needs an older TensorFlow
#   make test-serving     scoring as SageMaker serves it, on the TensorFlow it has
#   make browser  Chromium for the tests of the report, from Debian's packages
#   make check    format, lint, types and docstrings
#   make format   put the code into its format
#   make docs     write docs/cli.md, the pictures of the documentation and the notebooks again
#   make bench    how long start-up takes
#   make results  what each model finds, and the page of it; DATA names the published records
#   make measure  every other benchmark, and the page of what they measured
#   make clean    remove what these targets made, the environment included

VENV ?= .venv
OUTPUT ?= demo-output
SAMPLE = examples/data

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		2>/dev/null && { echo $$python; break; }; done)
endif

BIN = $(VENV)/bin
ECHOANOM = $(BIN)/echoanom
SOURCES = echoanom tests tools benchmarks examples

.PHONY: demo test test-tfio test-serving quick browser check format docs bench measure results clean python environment-all environment-dev
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

python:
	@test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13 with venv and" \
		"ensurepip (Debian: python3-venv); name one with make PYTHON=<python>" >&2; exit 1; }

environment-all environment-dev: environment-%: python
	@$(PYTHON) tools/environment.py $(VENV) $*

# The sensor lay on deck for its first hours. They are left out of training, and should
# then be found.
demo: environment-all
	@rm -rf $(OUTPUT)
	$(ECHOANOM) convert $(SAMPLE) $(OUTPUT)/dataset --period 900
	$(ECHOANOM) inspect $(OUTPUT)/dataset
	$(ECHOANOM) verify $(OUTPUT)/dataset
	$(ECHOANOM) train $(OUTPUT)/dataset --model $(OUTPUT)/model \
		--exclude $(SAMPLE)/labels.csv --window 16 --stride 1 --epochs 40
	$(ECHOANOM) score $(OUTPUT)/dataset --model $(OUTPUT)/model \
		--out $(OUTPUT)/scores.csv
	$(ECHOANOM) evaluate $(OUTPUT)/scores.csv $(SAMPLE)/labels.csv --threshold mad:6
	$(ECHOANOM) detect $(OUTPUT)/scores.csv --out $(OUTPUT)/events.csv --threshold mad:6
	$(ECHOANOM) report $(OUTPUT)/dataset --model $(OUTPUT)/model \
		--scores $(OUTPUT)/scores.csv --events $(OUTPUT)/events.csv \
		--out $(OUTPUT)/report.html --png $(OUTPUT)/pictures

# A worker a core and one more, as many tests wait for processes and servers; a file's
# tests stay together, as they share what is slow to make.
PYTEST = $(BIN)/python -m pytest -n $$(( $$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1 )) \
	--dist loadfile
test: environment-dev
	$(PYTEST)

# The report's tests drive a real browser; without one they are skipped, and fail in CI.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { \
		apt-get update && apt-get install -y --no-install-recommends chromium; }

quick: environment-dev
	$(PYTEST) -m "not slow" --hypothesis-profile quick

# An environment of its own: tensorflow-io fits no newer TensorFlow than 2.17.
test-tfio: python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { \
		echo "tensorflow-io needs Python 3.11 or 3.12; name one with" \
		"make PYTHON=<python>" >&2; exit 1; }
	@$(PYTHON) tools/environment.py $(VENV)-tfio test-tfio
	$(VENV)-tfio/bin/python -m pytest tests/tfio

# An environment of its own: SageMaker's newest container serves with TensorFlow 2.20. What
# it serves is made with the TensorFlow of all other tests.
test-serving: environment-dev
	@$(PYTHON) tools/environment.py $(VENV)-serving test-serving
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		$(BIN)/python tests/serving220/make_model.py "$$folder" && \
		ECHOANOM_SERVED="$$folder" $(VENV)-serving/bin/python -m pytest tests/serving220

check: environment-dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/isort --check $(SOURCES)
	$(BIN)/flake8 $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python tools/check_docstrings.py

format: environment-dev
	$(BIN)/isort $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: environment-dev demo
	$(BIN)/python tools/cli_reference.py docs/cli.md
	$(BIN)/python tools/make_pictures.py $(OUTPUT)/pictures docs/images
	$(BIN)/jupytext --update --to ipynb examples/tutorial_sagemaker.py
	$(BIN)/python tools/make_gallery.py examples docs/images

bench: environment-dev
	$(BIN)/python benchmarks/startup.py

# Other libraries are measured beside if PEERS names a Python that has them.
RESULTS = benchmarks/results
measure: environment-dev
	$(or $(PEERS),$(BIN)/python) benchmarks/throughput.py $(if $(PEERS),--peers) \
		--json $(RESULTS)/throughput.json
	for name in fifo ingest convert tables scoring training memory s3 cluster serving; do \
		$(BIN)/python benchmarks/$$name.py --json $(RESULTS)/$$name.json || exit 1; done
	$(BIN)/python tools/performance_page.py $(RESULTS) docs/performance.md \
		docs/images/throughput.png
	$(BIN)/python tools/scale_page.py $(RESULTS) docs/scale.md

# An interrupted run goes on where it was.
DATA = ../shared/data
results: environment-dev
	$(BIN)/python benchmarks/detection.py --data $(DATA) --json $(RESULTS)/detection.json
	$(BIN)/python benchmarks/skab_trials.py --data $(DATA) --json $(RESULTS)/skab_trials.json
	$(BIN)/python tools/results_page.py $(RESULTS)/detection.json $(RESULTS)/skab_trials.json docs/results.md

clean:
	rm -rf $(OUTPUT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .benchmarks .coverage
	@for venv in $(VENV) $(VENV)-tfio $(VENV)-serving; do \
		if [ -e $$venv/environment.json ] || [ -e $$venv/unfinished ]; then \
			echo rm -rf $$venv; rm -rf $$venv; fi; done
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands for a fresh machine with Python 3.11 or newer: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
LAKE ?= lake
VIDEOS ?=
PORT ?= 3000

# Every process of this software would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# Dagster's SQLite files are synced some thousand times in a small ingest. Where 4 GiB of memory are free for files, and
# programs run from there, the tests' files are there, and removed at the end. pytest itself keeps those of a failed test.
IN_MEMORY = if test -w /dev/shm && df -k /dev/shm | awk 'NR == 2 {exit $$4 < 4194304}'; then \
	memory=$$(mktemp -d /dev/shm/tests.XXXXXX); trap 'rm -rf "$$memory"' EXIT; \
	if cp /bin/true $$memory/runs && $$memory/runs; then TMPDIR=$$memory; export TMPDIR; fi; fi
# Tests wait for disks and processes, the long ones also for servers and the daemon: more processes than there are cores.
MORE_THAN_CORES = $$(expr $$(getconf _NPROCESSORS_ONLN) + $(1))
PYTEST := $(BIN)/pytest --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 25
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --constraint constraints.txt --editable

.PHONY: demo explore test test-fast test-slow test-all check ui setup bench learn clean

demo: .venv/ready ## the main job: on rendered sample videos, or on VIDEOS=folder
	@$(if $(VIDEOS),,$(BIN)/internvid sample-videos sample-videos)
	@$(BIN)/internvid ingest $(if $(VIDEOS),"$(VIDEOS)",sample-videos) --lake "$(LAKE)"

explore: .venv/ready ## search and watch the clips of LAKE= at http://127.0.0.1:3030; where there is no lake yet, after the demo
	@case "$(LAKE)" in *://*) ;; *) test -e "$(LAKE)/clips.lance" || $(MAKE) --no-print-directory demo;; esac
	@$(BIN)/internvid explore --lake "$(LAKE)" --open

# mypy takes one core for most of a minute: beside the tests, which leave some of both.
test: .venv/ready-dev ## static checks and the tests, within ten minutes on two cores
	@$(MAKE) --no-print-directory --jobs 2 test-fast check

test-fast: .venv/ready-dev
	@$(IN_MEMORY); $(PYTEST) --numprocesses $(call MORE_THAN_CORES,1) -m "not slow"

test-slow: .venv/ready-dev ## the long tests: killed processes, servers, a real UI, S3, models through the whole loop
	@$(IN_MEMORY); $(PYTEST) --numprocesses $(call MORE_THAN_CORES,2) -m slow

test-all: test test-slow ## every test

check: .venv/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: .venv/ready ## the Dagster UI on LAKE=, at http://127.0.0.1:$(PORT)
	$(BIN)/internvid ui --lake "$(LAKE)" --port $(PORT)

bench: .venv/ready-dev ## every benchmark, some minutes each
	for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

learn: .venv/ready-dev ## the proof that training learns, on two cores within ten minutes
	$(BIN)/python benchmarks/learning.py

setup: .venv/ready ## only set up

# torch by pip, which also takes a build for CPUs from an index or folder that pip.conf names; uv looks at neither.
.venv/bin/uv: constraints.txt
	@echo "Setting up .venv, once (a minute or two)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt uv torch
	@touch $@

.venv/ready: .venv/bin/uv pyproject.toml constraints.txt
	@$(INSTALL) .
	@touch $@

.venv/ready-dev: .venv/bin/uv pyproject.toml constraints.txt
	@$(INSTALL) '.[dev]'
	@touch $@ .venv/ready

clean: ## remove what was set up and made here
	rm -rf .venv sample-videos lake

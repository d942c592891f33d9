# One entry for people and CI. `make run` and `make test` do all of their own set-up.
.PHONY: help setup run test check exam bench screenshots sabotage lock
PORT ?= 8080
PY := .venv/bin/python

help: ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

setup: ## make .venv from requirements.lock
	@.ci/setup

run: setup ## the gateway and the simulated city on this machine; PORT=n sets the citizen port
	@$(PY) -m gateway run --port $(PORT)

test: ## all tests (real Valkey, PostgreSQL, SQLite, browser)
	@.ci/setup tools
	$(PY) -m pytest

check: setup ## formatting, lint, types, imports, spelling, generated files
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	.venv/bin/deptry gateway
	.venv/bin/codespell
	$(PY) -m gateway generated --check

exam: ## the long rest of the tests
	@.ci/setup tools
	$(PY) -m pytest -m exam -p no:randomly --timeout 1800

bench: ## ratios against peers, interleaved, in one run
	@.ci/setup bench
	$(PY) -m benchmarks

screenshots: ## the README's pictures
	@.ci/setup tools
	$(PY) -m tests.screenshots

sabotage: ## small breakages that must turn named tests red
	@.ci/setup tools
	$(PY) -m tests.sabotage

lock: ## write requirements.lock anew
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --all-extras \
	  --group test --group check --group exam --group bench pyproject.toml -o requirements.lock

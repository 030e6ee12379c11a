# Everything that a developer types. `make up` runs the scheduler; `make test` proves it.
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help up test prove lint types bench docs clean bootstrap servers

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile

up: ## install what is missing, then run everything on this machine (Ctrl-C stops it; ARGS="--port 9000")
	@tools/bootstrap
	@exec $(PYTHON) manage.py up $(ARGS)

test: bootstrap servers ## all tests, on SQLite and on PostgreSQL, with coverage
	@tools/test

prove: bootstrap servers ## what is promised of many commands and graphs, at full size; prints the figures (minutes)
	@.venv/bin/pytest tests/acceptance/test_each_command_once.py tests/acceptance/test_each_component_once.py --full-size

lint: bootstrap ## style, formatting, import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports --no-cache --no-logo
	@$(PYTHON) -m tools.check_text

types: bootstrap ## static types
	@.venv/bin/mypy

bench: bootstrap ## benchmarks; each prints a ratio
	@for script in benchmarks/*.py; do [ ! -e "$$script" ] || $(PYTHON) "$$script" || exit 1; done

docs: bootstrap ## write the generated pages of docs/reference
	@$(PYTHON) -m tools.docs_states

clean: ## remove what was installed or made, but no data (.scheduler)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov *.egg-info build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

bootstrap:
	@tools/bootstrap dev

servers:
	@tools/test-servers

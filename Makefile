.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.ready
DEV_STAMP := $(VENV)/.ready-dev

.PHONY: help setup dev up test fmt lint types imports tidy quick sim databases api system bench clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(RUN_STAMP) ## Install what is missing: Debian packages and .venv with pinned packages

$(RUN_STAMP): requirements.txt pyproject.toml setup.sh
	@./setup.sh "$(PYTHON)" "$(VENV)" requirements.txt
	@touch $(RUN_STAMP)

dev: $(DEV_STAMP) ## The same, with what tests and checks need

$(DEV_STAMP): requirements-dev.txt pyproject.toml setup.sh
	@./setup.sh "$(PYTHON)" "$(VENV)" requirements-dev.txt
	@touch $(RUN_STAMP) $(DEV_STAMP)

up: setup ## Start a whole cloud on this machine and watch it do its job
	@$(BIN)/ringstack demo --stay

test: dev ## The whole test suite: format, lint, types, imports, tests
	@$(MAKE) --no-print-directory lint types imports
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -q

fmt: dev ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: dev ## Check format and style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: dev ## Check types (mypy strict)
	@$(BIN)/mypy

imports: dev ## Check the direction of imports
	@$(BIN)/lint-imports

tidy: dev ## The ten longest files and functions
	@$(BIN)/python -m tests.tidy.sizes

quick: dev ## Everything that needs no processes, under two minutes
	@$(BIN)/python -m pytest -n 2 -q tests/tidy tests/unit tests/property tests/contract

sim: setup ## Deterministic simulation: make sim N=500, or SEED=7
	@$(BIN)/ringstack sim $(if $(SEED),--seed $(SEED),--seeds $(or $(N),200))

databases: dev ## Every service on SQLite and on PostgreSQL
	@RINGSTACK_ALL_DATABASES=1 $(BIN)/python -m pytest -n 2 -q tests/unit

api: dev ## Real clients against a real cloud
	@$(BIN)/python -m pytest -q tests/api

system: dev ## Real processes under faults
	@$(BIN)/python -m pytest -q tests/system

bench: setup ## Load benchmark
	@$(BIN)/ringstack bench object

clean: ## Remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

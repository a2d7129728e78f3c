.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup up test fmt lint types imports tidy quick sim api system bench clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install what is missing: Debian packages and .venv with pinned dependencies

$(STAMP): requirements.txt pyproject.toml setup.sh
	@./setup.sh "$(PYTHON)" "$(VENV)"
	@touch $(STAMP)

up: setup ## Start a whole cloud on this machine and watch it do its job
	@$(BIN)/ringstack demo --stay

test: setup ## The whole test suite: format, lint, types, imports, tests
	@$(MAKE) --no-print-directory lint types imports
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -q

fmt: setup ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: setup ## Check format and style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## Check types (mypy strict)
	@$(BIN)/mypy

imports: setup ## Check the direction of imports
	@$(BIN)/lint-imports

tidy: setup ## The ten longest files and functions
	@$(BIN)/python -m tests.tidy.sizes

quick: setup ## Everything that needs no processes, under two minutes
	@$(BIN)/python -m pytest -n 2 -q tests/tidy tests/unit tests/property tests/contract

sim: setup ## Deterministic simulation: make sim N=500, or SEED=7
	@$(BIN)/ringstack sim $(if $(SEED),--seed $(SEED),--seeds $(or $(N),200))

api: setup ## Real clients against a real cloud
	@$(BIN)/python -m pytest -q tests/api

system: setup ## Real processes under faults
	@$(BIN)/python -m pytest -q tests/system

bench: setup ## Load benchmark
	@$(BIN)/ringstack bench object

clean: ## Remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Rekindle: `make help` lists what there is.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WORKFLOW := tests/integration
# Needs a Docker engine; without one `make e2e` says so and exits with 3.
STACK := tests/stack
# Two workers, also where there are more cores: each has a platform of its own, with its memory. A file stays with one worker.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

# No tool that is used here tells its makers about it.
export DO_NOT_TRACK = true
export SCARF_ANALYTICS = false
export DBT_SEND_ANONYMOUS_USAGE_STATS = false
export GX_ANALYTICS_ENABLED = false
export MLFLOW_DISABLE_TELEMETRY = true

.DEFAULT_GOAL := help
.PHONY: help secrets stack stack-demo setup check-machine demo unit test ui e2e bench bench-million quality loop chaos lint format lock golden down clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: check-machine .venv/ready ## Install what is needed into .venv: packages, Java if there is none, Spark's jars

demo: setup ## See it work: real data, models, the last three days through Airflow, a report
	@$(BIN)/rekindle demo

unit: lint ## Check style and types, run the tests that need no server: two minutes at most
	@$(BIN)/python -m pytest -m "not platform"

test: lint ## The same with the tests on real servers
	@$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

ui: setup ## Start the platform with the web pages of Airflow and MLflow
	@$(BIN)/rekindle ui

e2e: setup ## Run the end-to-end tests: two days, a re-run, a backfill, a broken day, an erasure, all that takes minutes, the stack
	@$(BIN)/python -m pytest $(WORKFLOW)
	@$(BIN)/python -m pytest -m slow --ignore=$(WORKFLOW) --ignore=$(STACK)
	@$(BIN)/python -m stack check
	@$(BIN)/python -m pytest $(STACK)

bench: setup .bench/venv/ready ## Measure how fast it is, beside what a user would pick instead, and write docs/speed.md; an hour at most
	@$(BIN)/python -m bench

bench-million: setup .bench/venv/ready ## Run a day of a million users with two million events, and write docs/scale.md
	@$(BIN)/python -m bench million

quality: setup ## Check at full numbers what is claimed of large ones, and hold the models against rules in eight businesses
	@$(BIN)/python -m quality

loop: setup ## Let a simulated business be scored, texted, answered and measured for 14 days, an hour at most
	@$(BIN)/python -m loop

chaos: setup ## Break it: kill processes and servers at named points, fill disks, cut connections; nothing may be lost. An hour at most
	@$(BIN)/python -m chaos

lint: setup ## Check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --no-error-summary

format: setup ## Put the code into shape
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

lock: ## Resolve requirements*.in anew and pin every package with its hashes
	@scripts/lock.sh $(PYTHON)

golden: setup ## Record the golden files of the DAGs, docs/bad-inputs.md and docs/traps.md anew; look at the difference before you commit it
	@$(BIN)/python -m pytest tests/dags tests/test_bad_inputs.py tests/test_traps.py --record-golden

secrets: ## Make what docker-compose.yml reads from secrets/, each file for the containers' user alone
	@scripts/secrets.sh

stack: ## Start the platform as a team runs it, in containers; needs a Docker engine
	@$(PYTHON) -m stack up

stack-demo: stack ## Run a simulated day through it
	@$(PYTHON) -m stack demo

down: ## Stop the platform; data stay
	@test ! -x $(BIN)/rekindle || $(BIN)/rekindle down

clean: ## Delete the platform with its data, and .venv
	@test ! -x $(BIN)/rekindle || test ! -d .rekindle || REKINDLE_HOME=.rekindle $(BIN)/rekindle down --delete
	@rm -rf .venv .rekindle build *.egg-info .ruff_cache .mypy_cache .hypothesis

check-machine:
	@test -n "$(PYTHON)" || { echo "Missing: Python 3.11 is needed, there is no Python." >&2; exit 2; }
	@$(PYTHON) rekindle/platform/machine.py

# What ours is held against shares no library with it.
.bench/venv/ready: requirements-bench.txt
	@$(PYTHON) -m venv .bench/venv
	@.bench/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bench.txt
	@touch $@

.venv/ready: requirements.txt requirements-data.txt pyproject.toml conf/spark-defaults.conf scripts/setup.sh
	@scripts/setup.sh $(PYTHON)

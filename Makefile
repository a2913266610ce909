.DEFAULT_GOAL := help
.PHONY: help setup up test check faults bench bench-queries bench-scaling lock clean

# More arguments for the program behind a target: make up ARGS="--gateway-port 9000", make test ARGS="-k keys -x"
ARGS ?=
UV ?= uv
BIN := .venv/bin
COMPOSE := $(wildcard compose.yaml deploy/docker/compose.yaml)
DOCKERFILES := $(wildcard deploy/docker/Dockerfile*)
PROMTOOL := $(shell command -v promtool)
DOC_TESTS := $(wildcard tests/unit/test_docs*.py)
# Written without an index's address or a path of the machine that made them; with the hashes of all files of a
# version, for all Python versions, so one lock serves everywhere. The build tool is locked with the rest.
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header pyproject.toml -
BUILD_TOOL := sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## prepare .venv with everything that running needs; then .venv/bin/weir is the command line
	@deploy/setup.sh runtime

up: setup ## start everything on embedded servers; ARGS="--processors 2 …" goes to `weir up`
	@exec $(BIN)/weir up $(ARGS)

test: setup-dev ## run the tests on real servers; ARGS="-k keys --backend=docker …" goes to pytest
	@exec $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-dev ## format, lint, strict types, import rules, documentation, container files, alert rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(DOC_TESTS),$(BIN)/python -m pytest -q $(DOC_TESTS))
	$(if $(COMPOSE),$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec $(COMPOSE))
	$(if $(DOCKERFILES),$(BIN)/hadolint $(DOCKERFILES))
	$(if $(PROMTOOL),$(PROMTOOL) check config deploy/prometheus/prometheus.yml deploy/prometheus/local.yml)
	$(if $(PROMTOOL),$(PROMTOOL) test rules deploy/prometheus/alerts.test.yml)

faults: setup-dev ## hurt everything while events flow, and look what was kept; ARGS="--seed 7 --events 1000000 --faults 200"
	@exec $(BIN)/python -m tests.faults $(ARGS)

bench: setup-dev ## measure throughput, latency and memory on fresh servers
	@exec $(BIN)/python -m tests.bench $(ARGS)

bench-queries: setup-dev ## measure answers over 10 million events of 90 days, and over 1 million; ARGS="--events 300000"
	@exec $(BIN)/python -m tests.bench.queries $(ARGS)

bench-scaling: setup-dev ## measure what more processors, gateways and shards bring; ARGS="--quick"
	@exec $(BIN)/python -m tests.bench.scaling $(ARGS)

lock: ## choose the newest allowed versions again and write the lock files (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv; run: pip install uv" >&2; exit 1; }
	$(BUILD_TOOL) | $(COMPILE) --upgrade --output-file requirements.lock >/dev/null
	$(BUILD_TOOL) | $(COMPILE) --upgrade --group dev --constraint requirements.lock --output-file requirements-dev.lock >/dev/null

clean: ## remove the environment and all caches; data in .weir stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: setup-dev
setup-dev:
	@deploy/setup.sh dev

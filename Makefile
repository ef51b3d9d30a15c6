# Every target creates what it needs: a virtual environment in .venv, from a lock file with hashes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
DIST ?= dist

.PHONY: help demo test lint types contracts unit e2e-local e2e soak fuzz bench bench-local bench-proxy bench-cluster bench-app images release lock format clean
.DEFAULT_GOAL := help

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pilotlight needs Python 3.11 or newer; name one: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## Show it: cold start, scaling, a 90/10 split, back to zero, on this machine
	@$(BIN)/pilotlight demo

test: lint types contracts unit e2e-local ## Everything that has to pass

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

contracts: $(INSTALLED)
	$(BIN)/lint-imports

unit: $(INSTALLED)
	$(PYTEST) tests

# The tests mostly wait: three at a time, each with a local mode of its own.
e2e-local: $(INSTALLED)
	$(PYTEST) e2e -n 3 --dist loadfile

e2e: $(INSTALLED) ## The end-to-end suite against $$KUBECONFIG and $$PILOTLIGHT_GATEWAY_URL
	@test -n "$$KUBECONFIG" || { echo "make e2e: set KUBECONFIG to the cluster to test" >&2; exit 2; }
	$(PYTEST) e2e -m 'not local and not soak'

soak: $(INSTALLED) ## Requests under every disturbance, about 20 minutes; on local mode or $$KUBECONFIG
	PILOTLIGHT_SOAK_SCALE_DOWNS=50 PILOTLIGHT_SOAK_ROLL_OUTS=20 PILOTLIGHT_SOAK_DELETIONS=20 \
		$(PYTEST) e2e/soak -m soak

fuzz: $(INSTALLED) ## Bytes that nobody would think of, for a minute each, to everything that reads a peer's
	for target in requests responses chunks frames; do \
		$(BIN)/python -m fuzz $$target --seconds $(or $(SECONDS),60) || exit; \
	done

bench: bench-local bench-proxy $(if $(KUBECONFIG),bench-cluster) ## Every benchmark that can run here

bench-local: $(INSTALLED) ## Times of local mode: start, apply to Ready, cold start
	$(BIN)/python -m benchmarks.local

bench-proxy: $(INSTALLED) benchmarks/app/server ## The proxies beside others; BENCH_ARGS='"http1 13B c16" --rounds 1'
	$(BIN)/python -m benchmarks.proxy $(BENCH_ARGS)

bench-cluster: $(INSTALLED) ## Pilotlight on the cluster of $$KUBECONFIG, beside what that does without
	@test -n "$$KUBECONFIG" || { echo "make bench-cluster: set KUBECONFIG to the cluster to measure" >&2; exit 2; }
	$(BIN)/python -m benchmarks.cluster $(BENCH_ARGS)

bench-app: benchmarks/app/server ## The program under the benchmarks, for its image

benchmarks/app/server: benchmarks/app/server.c
	$(CC) -O2 -static -Wall -Wextra -o $@ $<

images: ## Build the image of each component with docker, podman or buildah
	@images/build

release: ## dist/install.yaml: everything of manifests/base in one file
	@command -v kubectl >/dev/null || { echo "make release: needs kubectl on PATH: it renders manifests/base" >&2; exit 2; }
	@mkdir -p $(DIST)
	kubectl kustomize manifests/base --output $(DIST)/install.yaml

lock: $(INSTALLED) ## Refresh the lock files
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes \
		--upgrade --no-header --no-annotate --quiet --output-file requirements-dev.lock
	$(BIN)/python images/lock.py

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what make has made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist

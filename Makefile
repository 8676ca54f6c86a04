# The way in. `make help` lists every target with its one line.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# A CPU build of PyTorch instead of PyPI's CUDA build: an index that has one, or a folder of wheels.
TORCH_INDEX ?=
TORCH_WHEELS ?=
TORCH_OPTIONS := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match) $(if $(TORCH_WHEELS),--find-links $(TORCH_WHEELS))
EXTRAS := ledger,check,local,argo,telemetry,torch,sklearn,dev
FRAMEWORKS := tensorflow,keras,jax,xgboost,lightgbm,onnx,models

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: setup
setup: .venv/ready contracts/node_modules/ready ## Install everything the demo and the tests need, once

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@echo "Installing Python packages into .venv (once; PyTorch from PyPI brings about 4 GB of CUDA packages:"
	@echo "  make setup TORCH_INDEX=<an index with CPU builds>   or   TORCH_WHEELS=<a folder of wheels>   is smaller)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$$(sed -n 's/^uv==//p' constraints.txt)
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt $(TORCH_OPTIONS) --editable '.[$(EXTRAS)]'
	@touch $@

.PHONY: setup-frameworks
setup-frameworks: .venv/frameworks ## Install what the other translators and their tests need, once

.venv/frameworks: .venv/ready
	@# Translators cannot write below .venv, so what is not compiled now would be compiled in each of them.
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt $(TORCH_OPTIONS) --compile-bytecode --editable '.[$(EXTRAS),$(FRAMEWORKS)]'
	@touch $@

.venv/architectures: .venv/frameworks
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt $(TORCH_OPTIONS) --compile-bytecode --editable '.[$(EXTRAS),$(FRAMEWORKS),architectures]'
	@touch $@

contracts/node_modules/ready: contracts/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or newer with npm is needed (it brings the EVM node)"; exit 1; }
	@echo "Installing the EVM node, the Solidity compiler and OpenZeppelin from npm (once)"
	npm ci --prefix contracts --no-audit --no-fund
	@touch $@

.PHONY: lock
lock: ## Choose new versions of every Python package
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --upgrade --no-annotate --no-header --quiet -o constraints.txt

.PHONY: demo
demo: setup ## Show the main job: register, train, translate, verify, tamper (EXAMPLE=digits or diabetes)
	@$(BIN)/python examples/demo.py $(EXAMPLE)

.PHONY: test
test: setup setup-frameworks check test-contracts ## Run every check and every test that needs no cluster
	@# Flows start and kill real processes: what fails beside another worker has to fail alone too.
	$(BIN)/pytest -m "not cluster and not terraform" -n 2 --dist loadfile || $(BIN)/pytest -m "not cluster and not terraform" --last-failed --last-failed-no-failures none

.PHONY: test-cluster
test-cluster: setup ## Run the tests that need a cluster (KUBECONFIG), with the images of POLYGLOT_IMAGES or build/images.json
	$(BIN)/pytest -m cluster --durations=20 tests/cluster

.PHONY: test-terraform
test-terraform: setup ## Check the Terraform modules; on a cluster (KUBECONFIG) apply the examples, let two tenants work, destroy
	terraform/check.sh
	$(BIN)/pytest -m "cluster or terraform" --durations=10 tests/terraform

.PHONY: images
images: setup ## Build the functions' images (TOOL= REGISTRY=name/ TAG= BASE= ONLY=ledger,argo PUSH=1 BUILD_OPTIONS=)
	$(BIN)/polyglot build-images --tool '$(TOOL)' --registry '$(REGISTRY)' --tag '$(TAG)' --base '$(BASE)' --only '$(ONLY)' $(if $(PUSH),--push) -- $(if $(TORCH_INDEX),--build-arg PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BUILD_OPTIONS)

.PHONY: deploy
deploy: setup ## Apply the functions to a namespace of a Knative cluster (NAMESPACE=acme)
	$(BIN)/polyglot deploy --namespace '$(NAMESPACE)'

.PHONY: check
check: setup ## Lint, types, layers, and that generated files are up to date
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/polyglot manifests --check
	npm run --silent --prefix contracts check

.PHONY: test-contracts
test-contracts: setup ## Run the Solidity tests, fuzzing and invariants; compare gas with the snapshot
	npm run --silent --prefix contracts test
	node contracts/script/gas.mjs --check

.PHONY: audit
audit: setup ## Known vulnerabilities in the lock file, by the advisories that PyPI has; slither on the contracts
	cd contracts && PATH="$$PWD/node_modules/.bin:$$PATH" ../$(BIN)/uv tool run --quiet --from slither-analyzer==0.11.6 slither . --config-file slither.config.json
	$(BIN)/uv tool run --quiet --from pip-audit==2.10.1 pip-audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

.PHONY: bench
bench: setup ## Compare with the raw tools, both sides in one run; writes benchmarks/results.md
	$(BIN)/python -m benchmarks

.PHONY: bench-cluster
bench-cluster: setup ## Measure the functions on a cluster, with the images of POLYGLOT_IMAGES or build/images.json; writes benchmarks/cluster.md
	$(BIN)/python -m benchmarks.cluster

.PHONY: compatibility
compatibility: setup setup-frameworks .venv/architectures ## Translate architectures of every framework (LIBRARIES='timm flax'); writes docs/compatibility.md
	$(BIN)/python -m benchmarks.compatibility $(LIBRARIES)

.PHONY: generate
generate: setup ## Make generated files again: manifests, ABI and bytecode, gas snapshot
	$(BIN)/polyglot manifests
	npm run --silent --prefix contracts generate
	npm run --silent --prefix contracts snapshot

.PHONY: format
format: setup ## Format Python and Solidity
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --fix --quiet .
	npm run --silent --prefix contracts format

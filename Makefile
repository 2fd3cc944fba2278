# `make` alone prints this list. Every target does the set-up it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BOARD ?= ulx3s
PROGRAMS ?= 200
FRAMES ?= 2000000
INPUT ?=
PROGRAM ?=
JOBS ?= $(shell cores=$$(nproc 2>/dev/null || echo 1); echo $$(( cores < 8 ? cores : 8 )))
ARGS ?=

PY := .venv/bin/python
# Written last, so that an interrupted set-up is seen and done again.
STAMP := .venv/.stamp
PIP := $(PY) -m pip --disable-pip-version-check --no-input -q

.PHONY: help setup sim test lint verify bench bitstream flash docs wave lock clean

help:
	@echo "make TARGET, where TARGET is one of:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv and install everything the lock names

sim: setup  ## run firmware on the RTL in lockstep, with a waveform  [INPUT=file] [PROGRAM=source, image or package]
	$(PY) -m vac_sim.main $(if $(INPUT),--input "$(INPUT)") $(if $(PROGRAM),--program "$(PROGRAM)") $(ARGS)

test: setup lint  ## lint, then all tests  [JOBS=n] [ARGS="-k name"]
	$(PY) -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist worksteal) $(ARGS)

lint: setup  ## style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/basedpyright

verify: setup  ## long campaigns: random programs, paging over S3, scheduling, fuzzed files, the link, a bitstream built twice  [PROGRAMS=n] [FRAMES=n]
	$(PY) -m vac.campaigns.differential --programs $(PROGRAMS) --sanitize
	$(PY) -m vac.campaigns.differential --programs $$(( $(PROGRAMS) / 20 + 1 )) --ticks 500 --engines rtl,jit,fast --name differential-rtl
	for core in pipelined gates compact; do \
	  $(PY) -m vac_sim.campaign --programs $(PROGRAMS) --ticks 5000 --core $$core --out build/verify/$$core; done
	$(PY) -m vac.campaigns.paging
	$(PY) -m vac.campaigns.crashes --kills 300
	$(PY) -m vac.campaigns.beam_crashes --kills 300
	$(PY) -m vac.campaigns.scheduling
	$(PY) -m vac.campaigns.fuzz --seconds 30
	$(PY) -m vac_sim.link_campaign --frames $(FRAMES)
	$(PY) -m benchmarks.campaigns
	$(PY) -m vac_hdl.reproduce --board "$(BOARD)"

bench: setup  ## measure cycles, area, Fmax and speed next to peers  [ARGS=--no-place]
	@$(PIP) install "$$(grep -o 'pywasm3==[0-9.]*' pyproject.toml)" 2>/dev/null || echo "make: wasm3 could not be compiled: it is left out"
	$(PY) -m benchmarks.run $(ARGS)

bitstream: setup  ## build the bitstream of a board  [BOARD=ulx3s|icebreaker]
	$(PY) -m vac_hdl.build --board "$(BOARD)" $(ARGS)

flash: setup  ## build the bitstream and write it to the attached board  [BOARD=ulx3s|icebreaker]
	$(PY) -m vac_hdl.build --board "$(BOARD)" --flash $(ARGS)

docs: setup  ## build the documentation into build/docs
	$(PY) -m sphinx -W -q -b html docs build/docs

wave: setup  ## draw the waveform of the last `make sim`
	$(PY) -m vac_sim.wave $(ARGS)

lock:  ## choose the newest versions that pyproject.toml allows and write requirements.lock
	rm -rf build/lock && mkdir -p build && $(call find_python) && "$$python" -m venv build/lock
	build/lock/bin/pip --disable-pip-version-check -q install '.[dev,docs]'
	{ head -n 1 requirements.lock; build/lock/bin/pip freeze | grep -v '^vac @'; } > build/requirements.lock
	mv build/requirements.lock requirements.lock

clean:  ## remove what was built; keeps .venv
	rm -rf build dist sim_build .pytest_cache .ruff_cache .hypothesis results.xml
	find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

# Shell: sets `python` to an interpreter this project runs on, $PYTHON first; or says what to do.
define find_python
python=; for candidate in $${PYTHON:-} python3.11 python3.12 python3.13 python3; do \
  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
  then python=$$candidate; break; fi; done; \
[ -n "$$python" ] || { echo "make: no Python 3.11, 3.12 or 3.13 with venv on PATH=$$PATH;" \
  "install one (Debian: apt-get install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
endef

$(STAMP): pyproject.toml requirements.lock
	@for tool in perl ar; do command -v $$tool >/dev/null || { echo "make: no $$tool on PATH=$$PATH;" \
	  "install it (Debian: apt-get install perl binutils)" >&2; exit 1; }; done
	@cxx=$${CXX:-}; [ -n "$$cxx" ] || for candidate in c++ g++ clang++; do \
	  ! command -v $$candidate >/dev/null || { cxx=$$candidate; break; }; done; \
	  command -v "$$cxx" >/dev/null || { echo "make: no C++ compiler ($${CXX:-c++, g++, clang++}) on PATH=$$PATH;" \
	  "install one (Debian: apt-get install g++) or name it in CXX" >&2; exit 1; }
	@if [ ! -e $(STAMP) ]; then rm -rf .venv; $(find_python); \
	  echo "make: creating .venv with $$("$$python" --version)"; "$$python" -m venv .venv; fi
	@echo "make: installing $$(grep -c == requirements.lock) packages, about a minute"
	@$(PIP) install -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(PY) -c "from vac.engines.registry import serving_engine; print('make: the engine fast is served by', serving_engine('fast'))"
	@touch $@

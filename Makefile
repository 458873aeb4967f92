# Everything there is to do, one target each. Needs Python 3.11 or newer, make and git;
# what else is needed is installed into .venv the first time a target asks for it.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# The first one that really runs: version managers leave names on the PATH that do not.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps
# One resolution for every Python and platform; all files of a version, by hash. Where they come
# from is the installing machine's business: no address is written down.
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'
GRAPHICS := libegl1 libgles2 libgl1-mesa-dri
SAY := printf '\033[36m%s\033[0m\n'

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: help run test demo demo-app screenshots conformance bench load check fix ci lock clean

##@ Use it

run: $(VENV)/.installed-run ## start everything on port 8080, with a demo app  (ARGS="--port 9000")
	@exec $(BIN)/zuruf up $(ARGS)

demo: $(VENV)/.installed-demo ## a fleet of devices living real customers' lives, against a running gateway
	@$(BIN)/python -m client_demo.fleet $(ARGS)

demo-app: $(VENV)/.installed-app $(VENV)/.graphics ## a shop with the SDK inside  (ARGS="--form-factor tv --dark")
	@$(BIN)/python -m client_demo.shop $(ARGS)

screenshots: $(VENV)/.installed-app $(VENV)/.graphics ## every screen of the shop, on phone, tablet and television, as PNGs
	@$(BIN)/python -m client_demo.shop.gallery --out screenshots $(ARGS)

##@ Prove it

test: $(VENV)/.installed-test $(VENV)/.graphics ## run all tests  (ARGS="-k inbox")
	@$(BIN)/python -m pytest $(ARGS)

conformance: $(VENV)/.installed-test ## the conformance kit against both ports of the SDK  (ARGS="--only retries")
	@$(BIN)/python -m tests.conformance $(ARGS)

bench: $(VENV)/.installed-bench ## side by side: this gateway, its FastAPI twin, the bare floor
	@$(BIN)/python -m loadtests.bench $(ARGS)

load: $(VENV)/.installed-load ## Locust, headless; exit code 1 when a budget is missed
	@$(BIN)/python -m loadtests $(ARGS)

##@ Change it

check: $(VENV)/.installed-test ## style, types, architecture
	@$(SAY) 'style' && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(SAY) 'types' && $(BIN)/mypy
	@$(SAY) 'architecture' && $(BIN)/lint-imports --no-logo

fix: $(VENV)/.installed-test ## format, and repair what can be repaired
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

ci: ## what .ci/run calls: check, then test
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory test

lock: $(VENV)/.installed-lock ## pin the newest versions that pyproject.toml allows, with hashes
	@$(COMPILE) --group build --group test --group bench --group load --group app pyproject.toml -o $(VENV)/all.txt
	@$(SAY) 'run' && $(COMPILE) -c $(VENV)/all.txt pyproject.toml --group build -o requirements/run.txt
	@for group in test bench load app; do $(SAY) $$group && \
		$(COMPILE) -c $(VENV)/all.txt pyproject.toml --group build --group $$group -o requirements/$$group.txt || exit 1; done
	@for group in demo lock; do $(SAY) $$group && \
		$(COMPILE) --no-deps --group pyproject.toml:$$group -o requirements/$$group.txt || exit 1; done
	@rm $(VENV)/all.txt

clean: ## remove what was installed and cached; your data stays
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

help:
	@printf '\nZuruf: events in, the right message on the device milliseconds later.\n'
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  \033[36mmake %-12s\033[0m %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n'

# --- installing, once ------------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo 'Zuruf needs Python 3.11 or newer, and found none.'; \
		echo 'Install one (Debian: apt install python3 python3-venv; macOS: brew install python)'; \
		echo 'or name yours:  make run PYTHON=/path/to/python3.12'; exit 1; } >&2
	@$(SAY) "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'This Python cannot make virtual environments: it lacks the venv module.'; \
		echo 'Debian and Ubuntu: apt install python3-venv'; exit 1; } >&2

# --no-deps: the locks are complete, there is nothing left to resolve.
# --no-build-isolation: the build backend is among the locked packages, nothing comes unpinned.
$(VENV)/.installed-run: requirements/run.txt pyproject.toml sdk_reference/pyproject.toml | $(BIN)/python
	@$(SAY) 'installing what Zuruf runs on'
	@$(PIP_INSTALL) --require-hashes -r $<
	@$(PIP_INSTALL) --no-build-isolation -e . -e sdk_reference
	@touch $@

$(VENV)/.installed-%: requirements/%.txt $(VENV)/.installed-run
	@$(SAY) 'installing requirements/$*.txt'
	@$(PIP_INSTALL) --require-hashes -r $<
	@touch $@

# What draws a window, also one that nobody sees. Without it the app says so, and its tests are skipped.
$(VENV)/.graphics: | $(BIN)/python
	@if $(BIN)/python -c 'import sys; from ctypes.util import find_library as f; \
		sys.exit(sys.platform == "linux" and not (f("EGL") and f("GLESv2")))'; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		$(SAY) 'installing $(GRAPHICS)'; \
		{ apt-get update -qq && apt-get install -qq -y $(GRAPHICS) && touch $@; } >/dev/null || \
			echo 'The shop app will not open: $(GRAPHICS) could not be installed.'; \
	else echo 'For the windows of the shop app: sudo apt-get install -y $(GRAPHICS)'; fi

# Without the rest, so that a broken lock can be mended.
$(VENV)/.installed-lock: requirements/lock.txt | $(BIN)/python
	@$(SAY) 'installing what make lock needs'
	@$(PIP_INSTALL) --require-hashes -r $<
	@touch $@

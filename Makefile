# Everything is set up in .venv by the versions in constraints.txt; nothing is installed globally.
# `make test ARGS="-k boot"`, `make demo ARGS=--once` and `make bench ARGS=…` pass ARGS on.

ARGS ?=
PYTHON ?= python3
JOBS ?= 3
BIN := .venv/bin
STAMP := .venv/.made

.PHONY: demo test lint bench venv lock clean

demo: $(STAMP)
	@$(BIN)/python tools/demo.py $(ARGS)

test: lint
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python tools/check_house.py
	@said=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$said"; exit 1; }
	@echo "lint: ruff, mypy --strict, house rules, import contracts: all hold"

bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(ARGS)

venv: $(STAMP)

$(STAMP): setup.py constraints.txt tools/make_venv
	@tools/make_venv "$(PYTHON)" .venv
	@touch $@

# After a change of setup.py: newest versions in their ranges, as exact pins.
lock:
	@tools/make_venv --lock "$(PYTHON)" .venv

clean:
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo .state

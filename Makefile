# `make demo` and `make test` need only Python 3.11 or 3.12, make and the package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
BIN := .venv/bin

.PHONY: demo test soak lint bench train-venv lock up down clean

demo: .venv/ready
	$(BIN)/breakwater demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python -m bench $(if $(DATA),--data $(DATA))

# About half an hour: kills, hangs, outages and a full disk under load.
soak: .venv/ready
	$(BIN)/python -m pytest -m soak -s
	$(BIN)/python -m bench.soak

up:
	test -f .env || sh deploy/env.sh > .env
	docker compose up --build --wait

down:
	docker compose down

# Everything in the lock, exactly; the project itself editable.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# What making the models needs (`breakwater models train|evaluate|audit`): torch and its kin.
train-venv: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group train \
		--constraint requirements.lock --extra-index-url https://download.pytorch.org/whl/cpu

# Newer versions: resolve for every supported Python at once.
lock:
	uv pip compile --universal --python-version 3.11 --group test --no-header --upgrade \
		pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv out build .pytest_cache .mypy_cache .ruff_cache

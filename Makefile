# Everything starts from a machine with make, python3 with pip, and the package registries.
UV := .uv/bin/uv
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never

.PHONY: setup demo test check generate bench judge eval-local docs wheel clean

setup: .venv/.ready  ## install everything into .venv

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --target .uv 'uv>=0.9,<1'

.venv/.ready: $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --quiet --group dev
	touch $@

demo: setup  ## build the flights lakehouse, start everything, ask it and tend it over MCP
	$(BIN)/headwater demo

test: setup  ## every test that needs no judge
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not slow"

check: setup  ## format, lint, types, import contracts, generated files, duplicate names
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/headwater generate --check

generate: setup  ## write the OpenAPI file, .proto, tool manifest and reference pages
	$(BIN)/headwater generate

bench: setup  ## figures side by side; the claims in docs come from here
	$(BIN)/python -m bench

judge: setup  ## conformance suites that we did not write, on the running demo
	bash tests/judge.sh

eval-local: setup  ## the arms beside one another with a real small model; goes on where it was stopped
	bash tests/eval_local.sh

docs: setup  ## the documentation site, in site/
	$(UV) run --frozen --group docs mkdocs build --strict

wheel: setup  ## dist/headwater-*.whl
	$(UV) build --quiet --wheel --out-dir dist

clean:
	rm -rf .venv .uv dist site

# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
BENCH_PIP := .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test lint format bench results clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/tunewright compare recipes/demo.yaml --resume

test: .venv/.installed
	$(BIN)/python -m pytest -n 2

lint: .venv/.installed
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

# The peers have an environment of their own. Of a peer that cannot be installed the results page says so.
.venv-bench/.installed: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	$(BENCH_PIP) -c constraints.txt torch==2.13.0
	$(BENCH_PIP) -c constraints.txt -e '.[dev]'
	$(BENCH_PIP) -c constraints.txt -r benchmarks/requirements.txt || for peer in trl lm_eval; do \
		$(BENCH_PIP) -c constraints.txt -c benchmarks/requirements.txt $$peer || echo "bench: without $$peer"; done
	touch $@

# make bench, or make bench BENCH="--quick --resume"
bench: .venv-bench/.installed
	.venv-bench/bin/python benchmarks/bench.py $(BENCH)

results: demo
	$(BIN)/python docs/results/write.py studies/demo docs/results/demo.md

format: .venv/.installed
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

clean:
	rm -rf .venv .venv-bench benchmarks/.measured build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache

# Everything a newcomer needs, from a bare machine with Python 3.11 (or newer), g++ and make.

PYTHON  := $(shell command -v python3.11 || command -v python3)
PY      := .venv/bin/python
STAMP   := .venv/.installed
QUIET   := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
WORKERS ?= 2
BENCH   ?=                 # options of the benchmark, such as --rows small,rnn

.PHONY: demo test test-long bench clean

demo: $(STAMP)
	$(PY) -m backproof.demo

test: $(STAMP)
	$(QUIET) $(PY) -m pytest -n $(WORKERS) -m "not long"

test-long: $(STAMP)
	$(QUIET) $(PY) -m pytest -n $(WORKERS) -m "long"

bench: $(STAMP)
	$(PY) bench $(BENCH)

$(STAMP): pyproject.toml CMakeLists.txt $(wildcard native/*)
	@test -n "$(PYTHON)" || { echo "no python3 found: install Python 3.11 or newer"; exit 1; }
	@test -x $(PY) || { $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11: install python3.11"; exit 1; }; }
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $(STAMP)

clean:
	rm -rf .venv build dist .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything runs in .venv, which is made when first needed. PYTHON is any Python from 3.11 on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
BENCH ?=

.PHONY: demo test test-long browser check fix proto bench bench-dense bench-page bench-search clean

# What the demo and the verbs need, and no more.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "voxkin needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable '.[openvino]'
	touch $@

# The tools that check and test, and the extras that the tests cover.
$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group dev --editable '.[ingest,parquet,openvino,fleet]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/voxkin demo $(DEMO_ARGS)

# Three at a time, since much of the suite waits for processes that it has killed; tests/conftest.py
# says what stays together. The seed has both collect the same tests in the same order.
test: $(VENV)/installed-dev
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -q -n 3

# What takes long and shows more of the same: twenty kills, all protocols, pretended GPUs.
test-long: $(VENV)/installed-dev
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -q -m long

# A Chromium for the tests of the page, where the system has none.
browser: $(VENV)/installed-dev
	$(BIN)/python -m playwright install chromium

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# In an environment of its own: the generator's protobuf is older than the one voxkin runs on.
proto:
	$(PYTHON) -m venv build/proto
	build/proto/bin/pip install --quiet grpcio-tools==1.71.2 setuptools
	build/proto/bin/python proto/generate.py

# PyTorch, to compare with.
$(VENV)/installed-bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

bench: $(VENV)/installed-dev
	$(BIN)/python -m tests.benchmarks.bench_convolution

# Without what may have been set to choose other kernels than the fastest.
bench-dense: $(VENV)/installed-bench
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m tests.benchmarks.bench_dense $(BENCH)

# The libraries to compare with; where they cannot be installed the benchmark says which are missing.
$(VENV)/installed-bench-search: $(VENV)/installed-dev
	-$(BIN)/python -m pip install --quiet --group bench-search
	touch $@

# On one thread, like those it compares with.
bench-search: $(VENV)/installed-bench-search
	env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.bench_search $(BENCH)

bench-page: $(VENV)/installed-dev
	$(BIN)/python -m tests.benchmarks.bench_page $(BENCH)

clean:
	rm -rf $(VENV) build dist .jax_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

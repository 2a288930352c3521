# make demo   set everything up, harmonize the sample clip, show where the results are
# make test   set everything up, lint, type-check and run the tests (make test-all: the slow ones too)
# make browser-test   install what the page and a browser need (Debian), test the page in it
# make bench  measure; prints and saves the tables of docs/performance.md (make gpu-check: on an NVIDIA GPU, tests too)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Where requirements.txt brings NVIDIA's compiler, CUDA kernels that are not compiled are a failure, not a skip.
NVRTC  := $(if $(filter Linux,$(shell uname -s)),CO2NET_EXPECT_NVRTC=1)

.PHONY: help setup demo test test-all browser-test lint format bench gpu-check sample-data clean

help:
	@sed -n 's/^# //p' Makefile | head -4

setup: $(READY)

$(READY): requirements.txt constraints.txt pyproject.toml setup.py $(wildcard trilinear/csrc/*) $(wildcard tridistribute/csrc/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "co2net needs Python 3.10 or later; give one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "setuptools>=77"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -r requirements.txt -c constraints.txt
	@touch $@

demo: $(READY)
	$(BIN)/co2net demo

test: lint
	$(NVRTC) $(BIN)/python -m pytest

test-all: lint
	$(NVRTC) $(BIN)/python -m pytest -m ''

browser-test: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[app,browser]' --no-build-isolation -c constraints.txt
	@command -v chromium chromium-browser google-chrome >/dev/null || { apt-get update -q && apt-get install -y -q chromium; } \
		|| { echo "install Chromium, then run this again"; exit 1; }
	$(BIN)/python -m pytest -rs tests/app/test_app_browser.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python benchmarks/run.py

gpu-check: $(READY)
	@$(BIN)/python benchmarks/bench_gpu.py --check-only
	CO2NET_EXPECT_CUDA=1 $(BIN)/python -m pytest -m needs_cuda
	$(BIN)/python benchmarks/run.py gpu

sample-data: $(READY)
	$(BIN)/python scripts/make_sample_data.py

clean:
	rm -rf $(VENV) build demo_output *.egg-info

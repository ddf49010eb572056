# make demo   set everything up, export a network, run it on a video, time it
# make test   set everything up, run all tests
# make test-sanitized   run the kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make test-arm64   run the kernels' tests on an emulated arm64 computer, made in $(ARM64) of Debian's packages
# make test-onnxruntime   run the kernels' tests with the oldest ONNX Runtime that is supported to the newest
#
# PYTHON is any Python from 3.10 on; VENV is where the virtual environment goes; VIDEO is a video of yours.

PYTHON ?= python3
VENV ?= .venv
VIDEO ?= demo/moving_shapes.mp4
ARM64 ?= build/arm64
SANITIZED_FILES ?= tests/kernels
ONNXRUNTIMES ?= ==1.20.1 ==1.24.4 >=1.32
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-sanitized test-arm64 test-onnxruntime clean

demo: $(VENV)/.export-installed
	$(VENV)/bin/edgevid export tsm_mbv2 --target cpu --output demo/tsm_mbv2 --force
	@if [ "$(VIDEO)" = demo/moving_shapes.mp4 ]; then \
	    $(VENV)/bin/python -m edgevid.benchmarks.moving_shapes demo/moving_shapes.mp4; fi
	$(VENV)/bin/edgevid run demo/tsm_mbv2 --video "$(VIDEO)"
	$(VENV)/bin/edgevid bench demo/tsm_mbv2 --duration 5 --json demo/bench.json

test: $(VENV)/.test-installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal $(PYTEST_OPTIONS)

# The programs of the tests that are deselected have the sanitizers of their own, as `make test` runs them.
test-sanitized: $(VENV)/.test-installed
	$(VENV)/bin/python tests/kernels/sanitized.py --numprocesses 2 -k "not sanitize" $(PYTEST_OPTIONS) $(SANITIZED_FILES)

# The emulated Python runs the cross-compiler and the exporter natively. It cannot start what they compile,
# such as the programs of the sanitizers' tests.
test-arm64: $(VENV)/.test-installed
	$(VENV)/bin/python tests/arm64/emulator.py $(ARM64)
	CXX=aarch64-linux-gnu-g++ EDGEVID_TEST_EXPORTER="$(abspath $(VENV))/bin/python" \
	    $(ARM64)/usr/bin/python -m pytest --numprocesses 2 -k "not sanitize" $(PYTEST_OPTIONS) tests/kernels

test-onnxruntime: $(VENV)/.test-installed
	for version in $(foreach version,$(ONNXRUNTIMES),"$(version)"); do \
	    folder="$(abspath build)/onnxruntime$$version"; \
	    $(PIP) --upgrade --no-deps --target "$$folder" "onnxruntime$$version" && echo "ONNX Runtime $$version" && \
	    PYTHONPATH="$$folder" $(VENV)/bin/python -m pytest --numprocesses 2 $(PYTEST_OPTIONS) tests/kernels \
	    || exit 1; \
	done

clean:
	rm -rf $(VENV) demo build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.export-installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[export]'
	touch $@

$(VENV)/.test-installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/.export-installed

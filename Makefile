# make demo   set everything up, export a network, run it on a video, time it
# make test   set everything up, run all tests
#
# PYTHON is any Python from 3.10 on; VENV is where the virtual environment goes; VIDEO is a video of yours.

PYTHON ?= python3
VENV ?= .venv
VIDEO ?= demo/moving_shapes.mp4
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clean

demo: $(VENV)/.export-installed
	$(VENV)/bin/edgevid export tsm_mbv2 --target cpu --output demo/tsm_mbv2 --force
	@if [ "$(VIDEO)" = demo/moving_shapes.mp4 ]; then \
	    $(VENV)/bin/python -m edgevid.benchmarks.moving_shapes demo/moving_shapes.mp4; fi
	$(VENV)/bin/edgevid run demo/tsm_mbv2 --video "$(VIDEO)"
	$(VENV)/bin/edgevid bench demo/tsm_mbv2 --duration 5 --json demo/bench.json

test: $(VENV)/.test-installed
	$(VENV)/bin/python -m pytest --numprocesses 2 $(PYTEST_OPTIONS)

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

"""Which memory is the network's, measured on arrays of a known size in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
sys.path.insert(0, "tests")
import numpy as np
from fake_session import FakeSession
from edgevid.benchmarks.harness.memory import MemoryMeter

def mib(count):
    return np.ones(count << 20, np.uint8)

np.ones(4 << 20, np.uint8)
meter = MemoryMeter()
weights = mib(40)
meter.opened()
activations = mib(24)
meter.warmed_up()
temporary = mib(16)
del temporary
meter.finished()
print(json.dumps(meter.fields(FakeSession().manifest)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_the_peak_is_split_into_runner_opened_bundle_and_activations():
    process = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    memory = json.loads(process.stdout)
    assert memory["opened"] == pytest.approx(40, abs=2)
    assert memory["activations"] == pytest.approx(24, abs=2)
    assert memory["network"] == pytest.approx(80, abs=4)
    assert memory["peak"] == pytest.approx(memory["process_baseline_mib"] + memory["network"])
    assert 64 < memory["proportional"] < memory["peak"]
    assert memory["gpu"] is None and memory["why_no_gpu"]

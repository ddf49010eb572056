"""The session of a bundle holds its weights once."""

from __future__ import annotations

import subprocess
import sys

import pytest

GROWTH = """
import sys
import edgevid, numpy, onnxruntime, psutil

def resident_mib():
    return psutil.Process().memory_info().rss / 2**20

before = resident_mib()
session = edgevid.open(sys.argv[1], threads=1)
print(resident_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim, which gives back freed memory, is glibc's")
def test_opening_a_bundle_takes_the_memory_of_its_weights_once(resnet_bundle):
    weights_mib = resnet_bundle.manifest.weights.size_bytes / 2**20
    assert weights_mib > 80
    result = subprocess.run(
        [sys.executable, "-c", GROWTH, str(resnet_bundle.path)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.35 * weights_mib

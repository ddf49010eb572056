"""The experiment's kernel and its exact candidate make the same input."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks.experiments import kernels_preprocess
from edgevid.kernels.common import build
from edgevid.kernels.preprocess.call import Layout

pytestmark = pytest.mark.slow


def test_both_make_the_same_input():
    if build.find_compiler() is None:
        pytest.skip("this machine has no C++ compiler")
    frames = kernels_preprocess.random_frames(480, 270, "yuv420p")
    plan = kernels_preprocess.plan_of(480, 270, Layout(), (1, 1))
    out = np.empty(plan.shape, np.float32)
    runs = kernels_preprocess.candidates(frames, plan, out)
    results = []
    for name in ("kernel", "exact"):
        runs[name]()
        results.append(out.copy())
    assert np.abs(results[0] - results[1]).mean() < 2 / 255  # FFmpeg cuts off fractions

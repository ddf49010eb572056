"""The GPU benchmark: without a GPU it fails in one line, and its shift is the reference's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgevid.kernels.temporal_shift.reference import temporal_shift

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'edgevid[export]'")


def test_without_a_gpu_it_says_so_in_one_line():
    if torch.cuda.is_available():
        pytest.skip("this machine has an NVIDIA GPU")
    process = subprocess.run(
        [sys.executable, "-m", "edgevid.benchmarks.experiments.gpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr == "error: PyTorch finds no usable NVIDIA GPU: run this on a machine with one\n"


def test_the_shift_it_compares_with_is_the_reference():
    from edgevid.benchmarks.experiments.gpu_graphs import FRAMES, shift_by_slices

    x = np.random.default_rng(0).standard_normal((2 * FRAMES, 16, 2, 3))
    expected = temporal_shift(x, frames=FRAMES, fold=2, first=1, second=-1)
    np.testing.assert_array_equal(shift_by_slices(torch.from_numpy(x), 2).numpy(), expected)


@pytest.mark.parametrize("name, layers", [("tsm_r50", 16), ("tsm_mbv2", 10)])
def test_its_layers_are_those_of_the_networks(name, layers):
    from edgevid.benchmarks.experiments.gpu import LAYERS
    from edgevid.zoo.create import create_model

    benchmarked = [layer for layer in LAYERS if layer.network == name]
    assert sum(layer.count for layer in benchmarked) == layers
    network, shapes = create_model(name), []
    for module in network.modules():
        if hasattr(module, "shift") and type(module.shift).__name__ == "TemporalShift":
            conv = next(child for child in module.modules() if isinstance(child, torch.nn.Conv2d))
            shapes.append((conv.in_channels, conv.out_channels))
    expected = [(layer.channels, layer.outputs) for layer in benchmarked for _ in range(layer.count)]
    assert sorted(shapes) == sorted(expected)

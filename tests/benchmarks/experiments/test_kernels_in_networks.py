"""Roofline bounds: the MACs and bytes of a layer, and that every kernel of a network is timed."""

from __future__ import annotations

import json
import sys

import pytest

from edgevid.benchmarks.experiments import kernels
from edgevid.benchmarks.experiments.kernels import Layer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("op", "inputs", "output", "macs"),
    [
        ("ShiftConv", ((8, 32, 7, 7), (48, 32, 1, 1), (48,)), (8, 48, 7, 7), 8 * 49 * 32 * 48),
        ("ShiftConvStep", ((1, 32, 7, 7), (1, 4, 7, 7), (48, 32, 1, 1)), (1, 48, 7, 7), 49 * 32 * 48),
        ("FrameStackConv", ((8, 32, 7, 7), (48, 96, 1, 1)), (8, 48, 7, 7), 8 * 49 * 96 * 48),
        (
            "ShiftConvDepthwise",
            ((2, 16, 5, 5), (96, 16, 1, 1), (96,), (96, 1, 3, 3), (96,)),
            (2, 96, 5, 5),
            2 * 25 * 96 * (16 + 9),
        ),
        ("WinogradConv", ((2, 16, 5, 9), (36, 32, 16)), (2, 32, 5, 9), 36 * 2 * 2 * 3 * 16 * 32),
        ("Gate", ((8, 16, 5, 5), (8, 16, 1, 1)), (8, 16, 5, 5), 0),
    ],
)
def test_a_layer_counts_its_macs_and_bytes(op, inputs, output, macs):
    layer = Layer(op, inputs, (output,), [1.0])
    assert layer.macs == macs
    elements = 0
    for shape in (*inputs, output):
        size = 1
        for length in shape:
            size *= length
        elements += size
    assert layer.bytes_moved == 4 * elements


def test_every_kernel_of_a_network_is_timed_against_its_bound(clip_bundle, tmp_path, monkeypatch, capsys):
    from edgevid.kernels.common import build

    if build.library() is None:
        pytest.skip("the kernels cannot be built here")
    target = tmp_path / "kernels.json"
    arguments = [str(clip_bundle.path), "--rounds", "2", "--threads", "1", "--json", str(target)]
    monkeypatch.setattr(sys, "argv", ["kernels", *arguments])
    kernels.main()
    document = json.loads(target.read_text())
    layers = document["results"]
    assert document["environment"]["cpu"] and document["options"]["rounds"] == 2
    assert sum(count for layer in layers for count in layer["networks"].values()) >= 10
    assert all(len(layer["samples_ms"]) == 2 and layer["kernel/bound"] > 0 for layer in layers)
    assert "kernel/bound" in capsys.readouterr().out

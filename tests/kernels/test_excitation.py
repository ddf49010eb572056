"""Means and gates equal NumPy's, in blocks too, and nothing is re-ordered for them."""

from __future__ import annotations

import numpy as np
import pytest
from one_kernel import random
from one_network import INPUTS, assert_same, save
from onnx import helper

from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.pipeline import specialize
from edgevid.kernels.excitation.reference import channel_mean, gate, image_mean, in_blocks
from edgevid.onnxfile.graph import Model

pytestmark = pytest.mark.op_alone

SHAPES = ((1, 16, 1, 1), (2, 32, 7, 5), (3, 48, 1, 9), (2, 64, 33, 31))


@pytest.mark.parametrize("block", (1, 8, 16))
@pytest.mark.parametrize("shape", SHAPES)
def test_means_are_those_of_channels_and_images(run_op, shape, block):
    x = random(shape, 0)
    for op, reference in (("ChannelMean", channel_mean), ("ImageMean", image_mean)):
        (y,) = run_op(op, [in_blocks(x, block)], block=block)
        np.testing.assert_allclose(y, reference(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", (1, 8, 16))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_pixels", (False, True))
def test_gates_multiply_channels_and_pixels(run_op, shape, block, with_pixels):
    x, of_channels = random(shape, 0), random((*shape[:2], 1, 1), 1)
    of_pixels = random((shape[0], 1, *shape[2:]), 2) if with_pixels else None
    (y,) = run_op("Gate", [in_blocks(x, block), of_channels, of_pixels], block=block)
    np.testing.assert_allclose(y, in_blocks(gate(x, of_channels, of_pixels), block), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "shapes", "block", "words"),
    (
        ("Gate", ((2, 16, 3, 3), (2, 8, 1, 1)), 16, "channels' gates do not fit"),
        ("Gate", ((2, 16, 3, 3), (2, 16, 1, 1), (2, 1, 3, 4)), 16, "pixels' gates do not fit"),
        ("ImageMean", ((2, 12, 3, 3),), 8, "of whole blocks"),
        ("ChannelMean", ((2, 12, 3, 3),), 4, "1, 8 or 16 channels"),
    ),
)
def test_what_does_not_fit_is_refused_with_the_reason(run_op, op, shapes, block, words):
    with pytest.raises(Exception, match=words):
        run_op(op, [np.zeros(shape, np.float32) for shape in shapes], block=block)


def network(path, channels: int, pixels: bool, keep: tuple[str, ...] = ()) -> None:
    """A convolution, gates from the means of its output, a convolution, and a temporal convolution."""
    weights = {
        "w1": random((channels, INPUTS, 1, 1), 1),
        "w2": random((channels, channels, 1, 1), 2),
        "w3": random((16, channels, 1, 1), 3),
        "taps": random((16, 3), 4),
        "channels": np.array([1], np.int64),
        "image": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("ReduceMean", ["a", "image"], ["m"]),
        helper.make_node("Conv", ["m", "w2"], ["c"]),
        helper.make_node("Mul", ["a", "s" if pixels else "c"], ["g"]),
        helper.make_node("Conv", ["g", "w3"], ["d"]),
        helper.make_node(
            "TemporalConv", ["d", "taps"], ["y"], "over_time", domain="edgevid", frames=2, causal=0
        ),
    ]
    if pixels:
        nodes[3:3] = [
            helper.make_node("ReduceMean", ["a", "channels"], ["n"]),
            helper.make_node("Sigmoid", ["n"], ["p"]),
            helper.make_node("Add", ["p", "c"], ["s"]),
        ]
    full, one, plane = [4, channels, 6, 7], [4, channels, 1, 1], [4, 1, 6, 7]
    shapes = {"a": full, "s": full, "g": full, "m": one, "c": one, "n": plane, "p": plane, "d": [4, 16, 6, 7]}
    outputs = dict.fromkeys(("y", *keep), None)
    save(
        path,
        nodes,
        weights,
        {"x": [4, INPUTS, 6, 7]},
        outputs,
        {k: v for k, v in shapes.items() if k not in keep},
    )


@pytest.mark.parametrize(
    ("channels", "pixels", "keep", "kinds"),
    (
        (32, True, (), {"Gate", "ImageMean", "ChannelMean"}),
        (32, False, (), {"Gate", "ImageMean"}),
        (32, True, ("s",), {"ImageMean", "ChannelMean"}),  # the sum of both gates is needed by itself
        (32, True, ("g",), {"ImageMean", "ChannelMean"}),  # what leaves the network is plain
        (20, True, (), set()),  # channels that are no whole blocks
    ),
)
def test_excitations_between_convolutions_stay_in_blocks(library, tmp_path, channels, pixels, keep, kinds):
    if block_size() is None:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    path = tmp_path / "model.onnx"
    network(path, channels, pixels, keep)
    result = specialize(path, tmp_path / "cache", 1)
    assert_same(path, result)
    nodes = Model(result.path.read_bytes()).nodes
    assert {node.op_type for node in nodes} & {"Gate", "ImageMean", "ChannelMean"} == kinds
    if "Gate" in kinds:
        assert not {node.op_type for node in nodes} & {"Mul", "ReduceMean"}

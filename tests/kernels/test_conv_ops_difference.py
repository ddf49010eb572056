"""The difference between frames is an exact subtraction, in every layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import random
from one_network import INPUTS, assert_same, save
from onnx import helper

from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.pipeline import specialize
from edgevid.kernels.temporal_difference.reference import temporal_difference, temporal_difference_step
from edgevid.onnxfile.graph import Model

pytestmark = pytest.mark.op_alone


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frames=st.integers(1, 5),
    clips=st.integers(1, 2),
    inner=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    causal=st.booleans(),
)
def test_any_rank_and_direction(run_op, frames, clips, inner, causal):
    later, earlier = (random((frames * clips, *inner), seed) for seed in (0, 1))
    (y,) = run_op("TemporalDifference", [later, earlier], frames=frames, causal=int(causal))
    np.testing.assert_array_equal(y, temporal_difference(later, earlier, frames=frames, causal=causal))


@pytest.mark.parametrize("causal", (False, True))
def test_large_frames_are_shared_between_threads(run_op, causal):
    later, earlier = (random((6, 20, 61, 37), seed) for seed in (0, 1))
    (y,) = run_op("TemporalDifference", [later, earlier], frames=3, causal=int(causal))
    np.testing.assert_array_equal(y, temporal_difference(later, earlier, frames=3, causal=causal))


@pytest.mark.parametrize("size", ((3, 5), (61, 37)))
def test_steps_continue_a_clip(run_op, size):
    frames = 4
    later, earlier = (random((2, frames, 20, *size), seed) for seed in (0, 1))
    state = np.zeros((2, 21, *size), np.float32)
    steps = []
    for t in range(frames):
        inputs = [np.ascontiguousarray(later[:, t]), state, np.ascontiguousarray(earlier[:, t])]
        expected, expected_state = temporal_difference_step(inputs[0], state, inputs[2])
        y, state = run_op("TemporalDifferenceStep", inputs, outputs=2)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(state, expected_state)
        steps.append(y)
    flat = (values.reshape(-1, 20, *size) for values in (later, earlier))
    clip = temporal_difference(*flat, frames=frames, causal=True)
    np.testing.assert_array_equal(np.stack(steps, axis=1).reshape(clip.shape), clip)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "words"),
    (
        ("TemporalDifference", ((5, 4), (5, 4)), {"frames": 2, "causal": 0}, "not whole clips"),
        ("TemporalDifference", ((4, 4), (4, 5)), {"frames": 2, "causal": 0}, "the same shape"),
        ("TemporalDifferenceStep", ((2, 4), (2, 4), (2, 4)), {}, "a channel more"),
        ("TemporalDifferenceStep", ((2, 4), (2, 5), (2, 3)), {}, "the same shape"),
    ),
)
def test_what_does_not_fit_is_refused_with_the_reason(run_op, op, shapes, attributes, words):
    outputs = 2 if op == "TemporalDifferenceStep" else 1
    with pytest.raises(Exception, match=words):
        run_op(op, [np.zeros(shape, np.float32) for shape in shapes], outputs=outputs, **attributes)


@pytest.mark.parametrize(
    ("channels", "keep", "reorders"),
    (
        (32, (), ["ReorderOutput"]),
        (32, ("a",), ["ReorderOutput", "ReorderOutput"]),  # what leaves the network is plain
        (32, ("d",), ["ReorderInput"] + ["ReorderOutput"] * 3),
        (4, (), ["ReorderOutput"] * 3),  # a convolution of few channels reads plain tensors
    ),
)
@pytest.mark.parametrize("causal", (0, 1))
def test_between_blocks_nothing_is_reordered(library, tmp_path, causal, channels, keep, reorders):
    if block_size() is None:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    weights = {
        "w1": random((channels, INPUTS, 1, 1), 1),
        "w2": random((channels, 1, 3, 3), 2),
        "w3": random((16, channels, 1, 1), 3),
    }
    difference = {"frames": 2, "causal": causal, "domain": "edgevid"}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("Conv", ["a", "w2"], ["b"], group=channels, pads=[1] * 4),
        helper.make_node("TemporalDifference", ["b", "a"], ["d"], "difference", **difference),
        helper.make_node("Conv", ["d", "w3"], ["y"]),
    ]
    path = tmp_path / "model.onnx"
    shapes = {name: [4, channels, 6, 7] for name in "abd"}
    save(path, nodes, weights, {"x": [4, INPUTS, 6, 7]}, dict.fromkeys(("y", *keep)), shapes)
    result = specialize(path, tmp_path / "cache", 1)
    assert_same(path, result)
    kinds = [node.op_type for node in Model(result.path.read_bytes()).nodes]
    assert sorted(kind for kind in kinds if "Reorder" in kind) == reorders
    (op,) = result.op_coverage
    in_blocks = f"TemporalDifference (blocks of {block_size()})"
    assert op.kernel == (in_blocks if len(reorders) < 3 else "TemporalDifference")

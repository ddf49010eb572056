"""Temporal and channel convolutions run on their kernels in a network."""

from __future__ import annotations

import numpy as np
import pytest
from one_kernel import random
from one_network import INPUTS, assert_same, save, session_without_blocks
from onnx import helper

from edgevid.backends.onnxruntime.specialize import pipeline, runtime
from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.pipeline import specialize
from edgevid.onnxfile.graph import Model

pytestmark = pytest.mark.usefixtures("library")
SIZE = [6, 7]


@pytest.fixture
def in_blocks():
    block = block_size()
    if block is None:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    return f"(blocks of {block})"


def network(
    tmp_path,
    over_time,
    *,
    channels=32,
    before=True,
    after=True,
    norm=False,
    activation="",
    taps=3,
    with_bias=True,
):
    """A 1x1 convolution, ``over_time`` (an op and its attributes), batch norm, activation, a 3x3 one."""
    weights = {
        "w1": random((channels, INPUTS, 1, 1), 1),
        "taps": random((channels, taps), 2),
        "bias": random(channels, 3),
        "w2": random((16, channels, 3, 3), 4),
    }
    op_type, attributes = over_time
    inputs, outputs = {"x": [4, INPUTS if before else channels, *SIZE]}, {}
    nodes = [helper.make_node("Conv", ["x", "w1"], ["a"])] if before else []
    op_inputs, op_outputs = ["a" if before else "x", "taps", "bias"], ["b"]
    if op_type == "TemporalConvStep":
        op_inputs.insert(1, "state")
        op_outputs.append("next_state")
        inputs["state"] = [4, (taps - 1) * channels, *SIZE]
        outputs["next_state"] = inputs["state"]
    if op_type == "TemporalShift":
        del op_inputs[1:]
    if not with_bias:
        op_inputs.remove("bias")
    node_attributes = {"domain": "edgevid", **attributes}
    nodes.append(helper.make_node(op_type, op_inputs, op_outputs, "over_time", **node_attributes))
    if norm:
        factors = {name: random(channels, 5) for name in ("scale", "shift", "mean")}
        factors["variance"] = np.abs(random(channels, 6)) + 1
        weights |= factors
        nodes.append(helper.make_node("BatchNormalization", [nodes[-1].output[0], *factors], ["c"]))
    if activation:
        nodes.append(helper.make_node(activation, [nodes[-1].output[0]], ["d"]))
    if after:
        nodes.append(helper.make_node("Conv", [nodes[-1].output[0], "w2"], ["y"], pads=[1] * 4))
    outputs[nodes[-1].output[0]] = None
    path = tmp_path / "model.onnx"
    save(path, nodes, weights, inputs, outputs, {"a": [4, channels, *SIZE]} if before else {})
    return path


CLIP = ("TemporalConv", {"frames": 2, "causal": 0})
CAUSAL = ("TemporalConv", {"frames": 4, "causal": 1})
STEP = ("TemporalConvStep", {})
SHIFT = ("TemporalShift", {"frames": 2, "fold": 5, "first": 1, "second": -1})


def coverage_and_kinds(path, tmp_path):
    """The coverage of the only temporal op, and the kinds of the nodes; compares the outputs."""
    result = specialize(path, tmp_path / "cache", 1)
    assert_same(path, result)
    (op,) = result.op_coverage
    return op, [node.kind for node in Model(result.path.read_bytes()).nodes]


@pytest.mark.parametrize(
    "options",
    (
        {},
        {"with_bias": False},
        {"norm": True},
        {"activation": "Relu"},
        {"norm": True, "activation": "Relu", "taps": 5},
        {"channels": 36},
    ),
    ids=str,
)
@pytest.mark.parametrize("over_time", (CLIP, CAUSAL, STEP), ids=str)
def test_nothing_is_reordered_around_it(tmp_path, in_blocks, over_time, options):
    if over_time == STEP and options.get("channels") == 36:
        pytest.skip("a test of its own")
    op, kinds = coverage_and_kinds(network(tmp_path, over_time, **options), tmp_path)
    assert (op.kernel, op.reason) == (f"{over_time[0]} {in_blocks}", "")
    assert kinds[1] == f"edgevid.{over_time[0]}"
    assert [kind.split(".")[-1] for kind in kinds if "Reorder" in kind] == ["ReorderOutput"]
    assert not {"BatchNormalization", "Relu", "Mul", "Add"} & set(kinds)


@pytest.mark.parametrize("isa", ("avx2", "generic"))
@pytest.mark.parametrize("over_time", (CLIP, STEP, SHIFT), ids=str)
def test_another_instruction_set_works_on_the_same_blocks(tmp_path, use_isa, over_time, isa):
    use_isa(isa)
    coverage_and_kinds(network(tmp_path, over_time), tmp_path)


def test_op_coverage_has_arithmetic_and_bytes(tmp_path):
    op, _ = coverage_and_kinds(network(tmp_path, CLIP), tmp_path)
    elements = 4 * 32 * 6 * 7
    assert op.flops == 2 * 3 * elements
    assert op.bytes_after == op.bytes_before == 4 * (2 * elements + 32 * 3 + 32)


def test_a_step_counts_its_state_too(tmp_path):
    op, _ = coverage_and_kinds(network(tmp_path, STEP), tmp_path)
    elements = 4 * 32 * 6 * 7
    assert op.bytes_before == 4 * (2 * elements + 32 * 3 + 32 + 2 * 2 * elements)


def test_a_step_in_blocks_that_are_not_full_stays_plain(tmp_path, in_blocks):
    op, _ = coverage_and_kinds(network(tmp_path, STEP, channels=36), tmp_path)
    assert op.kernel == "TemporalConvStep"
    assert "not whole blocks" in op.reason


def test_between_plain_tensors_it_stays_plain(tmp_path, in_blocks):
    op, kinds = coverage_and_kinds(
        network(tmp_path, CLIP, before=False, after=False, activation="Relu"), tmp_path
    )
    assert (op.kernel, kinds) == ("TemporalConv (plain)", ["edgevid.TemporalConv"])


@pytest.mark.parametrize("over_time", (CLIP, STEP), ids=str)
def test_a_runtime_without_blocked_layout_gets_the_plain_one(tmp_path, monkeypatch, over_time):
    monkeypatch.setattr(runtime, "cpu_session", session_without_blocks)
    op, _ = coverage_and_kinds(network(tmp_path, over_time, norm=True, activation="Relu"), tmp_path)
    assert op.kernel == f"{over_time[0]} (plain)"


def test_a_long_filter_stays_plain_and_says_why(tmp_path):
    op, _ = coverage_and_kinds(network(tmp_path, CLIP, taps=9), tmp_path)
    assert op.kernel == "TemporalConv"
    assert "more than 7 taps" in op.reason


@pytest.mark.parametrize("activation", ("Tanh", "Sigmoid"))
def test_another_activation_is_not_lost(tmp_path, activation):
    op, _ = coverage_and_kinds(network(tmp_path, CLIP, activation=activation), tmp_path)
    assert op.kernel.startswith("TemporalConv")


def test_a_sum_is_not_lost(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("TemporalConv", ["a", "taps"], ["b"], "over_time", domain="edgevid", **CLIP[1]),
        helper.make_node("MaxPool", ["a"], ["c"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    path, shape = tmp_path / "model.onnx", [4, 32, *SIZE]
    weights = {"w": random((32, INPUTS, 1, 1), 1), "taps": random((32, 3), 2)}
    save(path, nodes, weights, {"x": [4, INPUTS, *SIZE]}, {"y": None}, {"a": shape})
    op, _ = coverage_and_kinds(path, tmp_path)
    assert op.kernel.startswith("TemporalConv")


def test_a_shift_that_no_convolution_takes_is_a_temporal_conv_in_blocks(tmp_path, in_blocks):
    op, kinds = coverage_and_kinds(network(tmp_path, SHIFT), tmp_path)
    assert op.kernel == f"TemporalConv {in_blocks}"
    assert "3x3 convolution" in op.reason
    assert not [kind for kind in kinds if "ReorderInput" in kind]


def test_a_shift_between_plain_tensors_stays_a_copy(tmp_path):
    op, kinds = coverage_and_kinds(
        network(tmp_path, SHIFT, before=False, after=False, activation="Tanh"), tmp_path
    )
    assert (op.kernel, kinds) == ("TemporalShift", ["edgevid.TemporalShift", "Tanh"])


@pytest.mark.parametrize("op_type", ("ChannelConv", "UnsharedChannelConv"))
def test_a_channel_conv_runs_on_its_kernel(tmp_path, op_type):
    unshared = (25,) if op_type == "UnsharedChannelConv" else ()
    attributes = {"stride": 1, "pad_begin": 0, "pad_end": 0}
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node(op_type, ["a", "taps"], ["y"], "along", domain="edgevid", **attributes),
    ]
    path = tmp_path / "model.onnx"
    save(
        path,
        nodes,
        {"taps": random((1, 8, *unshared))},
        {"x": [2, 32, 3, 3]},
        {"y": None},
        {"a": [2, 32, 3, 3]},
    )
    op, kinds = coverage_and_kinds(path, tmp_path)
    assert (op.kernel, op.reason, op.flops) == (op_type, "", 2 * 2 * 8 * 25 * 9)
    assert kinds == ["Relu", f"edgevid.{op_type}"]


def test_an_op_without_a_kernel_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.coverage, "kernels_of", lambda model: {})
    op, _ = coverage_and_kinds(network(tmp_path, CLIP), tmp_path)
    assert op.kernel is None
    assert "no kernel for it" in op.reason


def test_a_shift_inside_its_convolution_needs_no_reason(tmp_path):
    nodes = [
        helper.make_node("TemporalShift", ["x"], ["a"], "over_time", domain="edgevid", **SHIFT[1]),
        helper.make_node("Conv", ["a", "w"], ["y"]),
    ]
    path, shape = tmp_path / "model.onnx", [4, 16, *SIZE]
    save(path, nodes, {"w": random((16, 16, 1, 1))}, {"x": shape}, {"y": None}, {"a": shape})
    op, _ = coverage_and_kinds(path, tmp_path)
    assert op.kernel.startswith("ShiftConv")
    assert (op.reason, op.bytes_after) == ("", 0)

"""Kernels replace the right ordinary convolutions of a network, which computes the same afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from one_network import assert_same, save
from onnx import helper

from edgevid.backends.onnxruntime.specialize import winograd
from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.pipeline import specialize
from edgevid.backends.onnxruntime.specialize.runtime import MODEL
from edgevid.onnxfile.graph import Model

pytestmark = pytest.mark.usefixtures("library")


@pytest.fixture(autouse=True)
def blocks():
    if block_size() is None:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")


class Chain:
    """A sequential network on frames ``(8, 32, 24, 24)``."""

    def __init__(self):
        self.nodes, self.weights, self.value = [], {}, "x"
        self.random = np.random.default_rng(0)

    def conv(self, outputs, inputs, size, stride=1, group=1, activation="Relu", bias=True):
        index = len(self.nodes)
        weights = self.random.standard_normal((outputs, inputs // group, size, size), dtype=np.float32)
        scale = np.float32(np.sqrt(size * size * inputs / group))
        self.weights[f"w{index}"] = weights / scale
        self.weights[f"b{index}"] = self.random.standard_normal(outputs, dtype=np.float32)
        attributes = {"strides": [stride, stride], "pads": [size // 2] * 4, "group": group}
        names = [self.value, f"w{index}", f"b{index}"]
        if not bias:
            del self.weights[names.pop()]
        self.nodes.append(
            helper.make_node("Conv", names, [f"c{index}"], kernel_shape=[size] * 2, **attributes)
        )
        self.value = f"c{index}"
        if activation:
            self.nodes.append(helper.make_node(activation, [self.value], [f"a{index}"]))
            self.value = f"a{index}"
        return self

    def add(self, addend):
        index = len(self.nodes)
        self.nodes.append(helper.make_node("Add", [self.value, addend], [f"s{index}"]))
        self.value = f"s{index}"
        return self

    def kinds(self, folder):
        """The blocked convolutions of the specialized network, whose outputs are compared first."""
        path = folder / "network.onnx"
        self.nodes[-1].output[0] = "y"
        save(path, self.nodes, self.weights, {"x": (8, 32, 24, 24)}, {"y": None})
        result = specialize(path, folder / "cache", 2)
        assert_same(path, result)
        nodes = Model(result.path.read_bytes()).nodes
        return [node.op_type for node in nodes if "Conv" in node.op_type]


def test_a_dense_3x3_convolution_takes_fewer_multiplications(tmp_path):
    chain = Chain().conv(32, 32, 3).conv(64, 32, 3, activation=None)
    assert chain.kinds(tmp_path) == ["WinogradConv", "WinogradConv"]


def test_a_leaky_activation_is_fused_too(tmp_path):
    chain = Chain().conv(32, 32, 3, activation="LeakyRelu").conv(64, 32, 1, activation="LeakyRelu")
    chain.conv(64, 64, 3, group=64)
    assert chain.kinds(tmp_path) == ["WinogradConv", "ShiftConvDepthwise"]


def test_a_residual_sum_and_its_activation_go_along(tmp_path):
    chain = Chain().conv(32, 32, 3)
    shortcut = chain.value
    chain.conv(32, 32, 3, activation=None).add(shortcut)
    chain.nodes.append(helper.make_node("Relu", [chain.value], ["end"]))
    assert chain.kinds(tmp_path) == ["WinogradConv", "WinogradConv"]


def test_a_sum_without_a_bias_leaves_no_gap_among_the_inputs(tmp_path):
    chain = Chain().conv(32, 32, 3)
    shortcut = chain.value
    chain.conv(32, 32, 3, activation=None, bias=False).add(shortcut)
    assert chain.kinds(tmp_path) == ["WinogradConv", "WinogradConv"]
    (folder,) = (tmp_path / "cache").iterdir()
    model = Model((folder / MODEL).read_bytes())
    last = [node for node in model.nodes if node.op_type == "WinogradConv"][-1]
    assert len(last.inputs) == 4 and all(last.inputs)


@pytest.mark.parametrize("layer", [{"stride": 2}, {"group": 2}, {"activation": "Sigmoid"}])
def test_a_convolution_of_another_kind_is_left_alone(tmp_path, layer):
    assert Chain().conv(32, 32, 3, **layer).kinds(tmp_path) == ["Conv"]


def test_a_convolution_that_would_be_slower_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(winograd, "pays", lambda *shapes: False)
    assert Chain().conv(32, 32, 3).kinds(tmp_path) == ["Conv"]


def test_where_winograd_rounds_too_much_the_direct_convolutions_stay(tmp_path, monkeypatch):
    transform = winograd._transformed
    monkeypatch.setattr(
        winograd, "_transformed", lambda *arguments: transform(*arguments) * np.float32(1.001)
    )
    assert Chain().conv(32, 32, 3).kinds(tmp_path) == ["Conv"]


@pytest.mark.parametrize(("stride", "name"), [(1, "ShiftConvDepthwise"), (2, "ShiftConvDepthwiseStride2")])
def test_a_depthwise_convolution_joins_the_1x1_before_it(tmp_path, stride, name):
    chain = Chain().conv(96, 32, 1).conv(96, 96, 3, stride, group=96).conv(32, 96, 1, activation=None)
    assert chain.kinds(tmp_path) == [name, "Conv"]


def test_a_1x1_convolution_that_others_read_stays(tmp_path):
    chain = Chain().conv(64, 32, 1)
    shortcut = chain.value
    chain.conv(64, 64, 3, group=64).add(shortcut)
    assert chain.kinds(tmp_path) == ["Conv", "Conv"]

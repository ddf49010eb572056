"""The comparison with ordinary exports requires equal outputs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.backends.onnxruntime.specialize.pipeline import SpecializedModel
from edgevid.benchmarks.experiments import ordinary_exports, study
from edgevid.errors import BenchmarkError
from edgevid.zoo import MODELS


def scaled(folder, name: str, factor: float):
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, (1, 4)) for end in ("x", "y")]
    constant = numpy_helper.from_array(np.array(factor, np.float32), "factor")
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    graph = helper.make_graph([node], name, ends[:1], ends[1:], [constant])
    path = folder / f"{name}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_networks_that_differ_are_not_compared(tmp_path):
    mine = SpecializedModel(scaled(tmp_path, "mine", 1.0), lambda options: None, ())
    clip = np.ones((1, 4), np.float32)
    ordinary_exports._check("net", clip, mine, scaled(tmp_path, "same", 1.00001))
    with pytest.raises(BenchmarkError, match="differ"):
        ordinary_exports._check("net", clip, mine, scaled(tmp_path, "other", 1.01))


@pytest.mark.parametrize("wrong", [1.01, np.nan, np.inf])
def test_a_difference_in_the_second_output_is_found(wrong):
    expected = [np.ones((1, 5), np.float32), np.ones((2, 3), np.float32)]
    study.require_equal("net", [array * np.float32(1.00001) for array in expected], "other", expected, 1e-4)
    with pytest.raises(BenchmarkError, match="net differs from other by"):
        study.require_equal("net", [expected[0], expected[1] * wrong], "other", expected, 1e-4)


def test_every_network_with_a_bound_has_an_ordinary_form():
    assert set(ordinary_exports.BOUNDS) <= set(ordinary_exports.ORDINARY) <= set(MODELS)


def test_each_round_starts_with_another_candidate():
    order = []
    samples = study.interleave({name: lambda name=name: order.append(name) for name in "ab"}, 2)
    assert {name: len(values) for name, values in samples.items()} == {"a": 2, "b": 2}
    assert order == ["a", "b", "b", "a"] * 2
    assert "a/b" in study.describe(samples)

"""The model files of a precision share one weight file, and compute the same as with their own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from edgevid.backends.tensorrt.shared_weights import METADATA, save_with_weights

LARGE = (64, 64)


def model(factor: float = 1.0, bias: float = 0.0) -> ir.Model:
    """y = x A + b with a large and a small constant."""
    helper = onnx.helper
    matrix = (np.arange(64 * 64, dtype=np.float32).reshape(LARGE) % 7 - 3) * factor
    constants = {"a": matrix, "b": np.full(64, bias, np.float32)}
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 64)) for name in ("x", "y")]
    nodes = [helper.make_node("MatMul", ["x", "a"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", values[:1], values[1:], [onnx.numpy_helper.from_array(v, n) for n, v in constants.items()]
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7))


def run(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.arange(64, dtype=np.float32)[None]})[0]


def test_files_with_the_same_weights_share_them(tmp_path):
    save_with_weights(model(), tmp_path / "first.onnx", "w")
    before = (tmp_path / "w").read_bytes()
    save_with_weights(model(bias=1.0), tmp_path / "second.onnx", "w")
    assert (tmp_path / "w").read_bytes() == before
    assert (tmp_path / "second.onnx").stat().st_size < 2000 < 64 * 64 * 4
    np.testing.assert_array_equal(run(tmp_path / "second.onnx"), run(tmp_path / "first.onnx") + 1)


def test_a_tensor_with_other_values_is_not_shared(tmp_path):
    save_with_weights(model(), tmp_path / "first.onnx", "w")
    save_with_weights(model(factor=2.0), tmp_path / "second.onnx", "w")
    np.testing.assert_array_equal(run(tmp_path / "second.onnx"), 2 * run(tmp_path / "first.onnx"))


def test_saving_does_not_change_the_graph(tmp_path):
    graph = model()
    for name in ("first.onnx", "second.onnx"):
        save_with_weights(graph, tmp_path / name, "w")
        assert not isinstance(graph.graph.initializers["a"].const_value, ir.ExternalTensor)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_model_file_names_its_weights_by_their_hash(tmp_path, factor):
    """An engine is cached by the hash of its model file."""
    save_with_weights(model(factor), tmp_path / "m.onnx", "w")
    (tmp_path / "other").mkdir()
    save_with_weights(model(), tmp_path / "other" / "m.onnx", "w")
    same = (tmp_path / "m.onnx").read_bytes() == (tmp_path / "other" / "m.onnx").read_bytes()
    assert same == (factor == 1.0)
    assert METADATA in ir.load(tmp_path / "m.onnx").metadata_props


def test_small_tensors_stay_in_the_model(tmp_path):
    graph = model()
    graph.graph.initializers["a"].const_value = ir.tensor(np.zeros((2, 2), np.float32), name="a")
    save_with_weights(graph, tmp_path / "m.onnx", "w")
    assert not (tmp_path / "w").exists()

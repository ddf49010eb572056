"""One op by itself: a model of one node, its lowered form, and a network exported with it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

import edgevid
from edgevid import ops
from edgevid.ops.functions import attach_functions
from edgevid.passes.lower import lower


def one_node_model(op_type: str, arrays: list[np.ndarray], outputs: int = 1, **attributes: int) -> bytes:
    inputs = [
        ir.Value(name=f"x{i}", shape=ir.Shape(a.shape), type=ir.TensorType(ir.DataType.FLOAT))
        for i, a in enumerate(arrays)
    ]
    node = ir.node(op_type, inputs, attributes=attributes, domain=ops.DOMAIN, num_outputs=outputs)
    for i, output in enumerate(node.outputs):
        output.name, output.type = f"y{i}", ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(inputs, node.outputs, nodes=[node], opset_imports={"": ops.OPSET_VERSION}, name="g")
    model = ir.Model(graph, ir_version=10)
    attach_functions(model)
    return ir.to_proto(model).SerializeToString()


def run(model: bytes, arrays: list[np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model)
    return session.run(None, {f"x{i}": array for i, array in enumerate(arrays)})


def tensors(*arrays):
    return [array if array is None else torch.from_numpy(array) for array in arrays]


def present(*arrays):
    return [array for array in arrays if array is not None]


def close(result, expected):
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def lowered(model: bytes, op_type: str) -> onnx.ModelProto:
    graph = ir.from_proto(onnx.load_from_string(model))
    assert lower(graph, op_type).matched == 1
    assert not graph.functions
    assert {node.domain for node in graph.graph} == {""}
    return ir.to_proto(graph)


def exported(tmp_path, network, target, **options):
    return edgevid.export(network, target, tmp_path / target, frames=4, size=16, **options)


def obeys_torch(torch_op, arguments):
    """PyTorch's checks of a custom op but the slow one, of which test_every_op.py runs an example."""
    utils = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch_op.default, arguments, test_utils=utils)


def openvino_loads(path):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    openvino.Core().compile_model(path, "CPU")

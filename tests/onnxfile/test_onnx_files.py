"""edgevid's own reading and writing of ONNX files agrees with the ``onnx`` package."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from edgevid.onnxfile.graph import Model, Node
from edgevid.onnxfile.wire import Message


def small_model() -> onnx.ModelProto:
    import numpy as np

    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], "conv", dilations=[1, 1], group=1, alpha=-0.5, note="a", values=[1.5, -2.0]
    )
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["y"], ["z"], "relu", domain="other")],
        "graph",
        [helper.make_tensor_value_info("x", 1, [2, 3, "height", 5])],
        [helper.make_tensor_value_info("z", 1, [2, 4, 1, 1])],
        [numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_an_unchanged_model_is_written_byte_for_byte():
    data = small_model().SerializeToString()
    assert onnx.load_from_string(bytes(Model(data))) == onnx.load_from_string(data)
    assert bytes(Message(data)) == data


def test_nodes_attributes_and_shapes_are_read():
    model = Model(small_model().SerializeToString())
    conv, relu = model.nodes
    assert (conv.kind, conv.name, conv.inputs, conv.outputs) == ("Conv", "conv", ["x", "w"], ["y"])
    assert relu.kind == "other.Relu"
    expected = {"dilations": [1, 1], "group": 1, "alpha": -0.5, "note": "a", "values": [1.5, -2.0]}
    assert conv.attributes == expected
    assert model.shapes == {"z": (2, 4, 1, 1)}
    assert model.weights == {"w": (4, 3, 1, 1)}
    assert [node.name for node in model.readers("y")] == ["relu"]


def test_what_is_changed_reads_back_in_onnx():
    model = Model(small_model().SerializeToString())
    model.nodes[0].set_ints("dilations", [4096, 7])
    attributes = {"fold": 3, "second": -1, "low": float("-inf"), "high": 6.0}
    model.nodes[1] = Node("ShiftConv", "edgevid", "new", ["y", "", "w"], ["z"], attributes)
    model.require_domain("edgevid")
    model.require_domain("edgevid")
    proto = onnx.load_from_string(bytes(model))
    conv, node = proto.graph.node
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute}
    assert values["dilations"] == [4096, 7]
    assert values["group"] == 1
    assert {item.name: helper.get_attribute_value(item) for item in node.attribute} == attributes
    assert (node.domain, node.op_type, list(node.input)) == ("edgevid", "ShiftConv", ["y", "", "w"])
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 18), ("edgevid", 1)]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.lists(st.floats(width=32, allow_nan=False)))
def test_any_number_reads_as_onnx_reads_it(integers, floats):
    attribute = onnx.AttributeProto(ints=integers, floats=floats)
    message = Message(attribute.SerializeToString())
    assert message.integers(8) == integers
    assert message.floats(7) == floats
    new_message = Message()
    for value in integers:
        new_message.add(8, value)
    for value in floats:
        new_message.add(7, value)
    assert onnx.AttributeProto.FromString(bytes(new_message)) == attribute


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_truncated_file_is_not_a_model(cut):
    with pytest.raises(ValueError, match="not a protobuf message"):
        Model(small_model().SerializeToString()[:-cut])

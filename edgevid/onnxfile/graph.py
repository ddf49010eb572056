"""An ONNX model as lists of nodes and values, as far as needed to replace nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.onnxfile.wire import Message, signed

# Field numbers of onnx.proto.
MODEL_GRAPH, MODEL_OPSETS = 7, 8
OPSET_DOMAIN, OPSET_VERSION = 1, 2
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO = 1, 5, 11, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 3, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_F, ATTRIBUTE_I, ATTRIBUTE_S, ATTRIBUTE_FLOATS, ATTRIBUTE_INTS = 1, 2, 3, 4, 7, 8
ATTRIBUTE_TYPE, TYPE_FLOAT, TYPE_INT, TYPE_STRING, TYPE_INTS = 20, 1, 2, 3, 7
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_DATA_LOCATION = 1, 2, 8, 9, 13, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, ELEMENT_TYPE, TENSOR_SHAPE, SHAPE_DIM, DIM_VALUE = 1, 2, 1, 1, 2, 1, 1
FLOAT, EXTERNAL = 1, 1
BITS = {2: 8, 3: 8, 4: 16, 5: 16, 7: 64, 9: 8, 10: 16, 11: 64, 13: 64, 16: 16, 21: 4, 22: 4}
"""Bits of an element by ``TensorProto.DataType``, where they are not 32."""


@dataclass
class Node:
    """A node; ``message`` is the one it was read from, None for a new node, whose attributes are numbers."""

    op_type: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, int | float | str | list] = field(default_factory=dict)
    message: Message | None = None

    @property
    def kind(self) -> str:
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    def input(self, index: int) -> str:
        """The name of an input; empty if it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def set_ints(self, name: str, values: list[int]) -> None:
        self.attributes[name] = values
        message = self.message or self.to_message()
        attributes = [item for item in message.messages(NODE_ATTRIBUTE) if item.text(ATTRIBUTE_NAME) != name]
        self.message = message.replace(NODE_ATTRIBUTE, [*attributes, _attribute(name, values)])

    def to_message(self) -> Message:
        message = self.message or Message().add(NODE_NAME, self.name).add(NODE_OP_TYPE, self.op_type)
        if self.message is None:
            message.add(NODE_DOMAIN, self.domain)
            for name, value in self.attributes.items():
                message.add(NODE_ATTRIBUTE, _attribute(name, value))
        return message.replace(NODE_INPUT, self.inputs).replace(NODE_OUTPUT, self.outputs)


class Model:
    """A model's graph.

    ``shapes`` has the static shapes of values by name, ``weights`` the shapes of initializers, and
    ``weight_files`` the names of external weight files in the model's folder.
    """

    def __init__(self, data: bytes) -> None:
        self._message = Message(data)
        self._graph = Message(self._message.get(MODEL_GRAPH, b""))
        self.nodes = [_node(message) for message in self._graph.messages(GRAPH_NODE)]
        self.inputs = _named_values(self._graph, GRAPH_INPUT)
        self.outputs = _named_values(self._graph, GRAPH_OUTPUT)
        self.shapes: dict[str, tuple[int, ...]] = {}
        for number in (GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO):
            for name, value in _named_values(self._graph, number).items():
                if (shape := _shape(value)) is not None:
                    self.shapes[name] = shape
        tensors = self._graph.messages(GRAPH_INITIALIZER)
        self._tensors = {tensor.text(TENSOR_NAME): tensor for tensor in tensors}
        self.weights = {name: tuple(t.integers(TENSOR_DIMS)) for name, t in self._tensors.items()}
        locations = map(_location, tensors)
        self.weight_files = sorted({location["location"] for location in locations if location})

    def readers(self, value: str) -> list[Node]:
        return [node for node in self.nodes if value in node.inputs]

    def read_weight(self, name: str, folder: Path) -> np.ndarray:
        """A float32 initializer; ``folder`` has the model's weight files."""
        tensor = self._tensors[name]
        shape = self.weights[name]
        if location := _location(tensor):
            file, offset = folder / location["location"], int(location.get("offset", 0))
            return np.fromfile(file, np.float32, prod(shape), offset=offset).reshape(shape)
        return np.frombuffer(tensor.get(TENSOR_RAW), np.float32).reshape(shape)

    def weight_bytes(self, name: str) -> int:
        """The size of an initializer of any type of numbers."""
        bits = BITS.get(self._tensors[name].get(TENSOR_TYPE, FLOAT), 32)
        return (prod(self.weights[name]) * bits + 7) // 8

    def add_weight(self, name: str, shape: tuple[int, ...], file: str, offset: int) -> None:
        """Add a float32 initializer that is stored in ``file``, beginning at byte ``offset``."""
        tensor = Message()
        for size in shape:
            tensor.add(TENSOR_DIMS, size)
        tensor.add(TENSOR_TYPE, FLOAT).add(TENSOR_NAME, name)
        location = {"location": file, "offset": str(offset), "length": str(4 * prod(shape))}
        for key, value in location.items():
            tensor.add(TENSOR_EXTERNAL, Message().add(ENTRY_KEY, key).add(ENTRY_VALUE, value))
        self._tensors[name] = tensor.add(TENSOR_DATA_LOCATION, EXTERNAL)
        self.weights[name] = shape

    def add_array(self, name: str, array: np.ndarray) -> None:
        """Add a small float32 initializer that is stored in the model."""
        tensor = Message()
        for size in array.shape:
            tensor.add(TENSOR_DIMS, size)
        data = np.ascontiguousarray(array, "<f4").tobytes()
        self._tensors[name] = tensor.add(TENSOR_TYPE, FLOAT).add(TENSOR_NAME, name).add(TENSOR_RAW, data)
        self.weights[name] = array.shape

    def without_gap(self, inputs: list[str], outputs: int) -> list[str]:
        """The weights, bias and sum of a convolution, with zeros for an omitted bias before a sum.

        ONNX Runtime before 1.24 crashes in shape inference of an op with an omitted input.
        """
        if len(inputs) < 3 or inputs[1] or not inputs[2]:
            return inputs
        bias = f"{inputs[0]}_no_bias"
        self.add_array(bias, np.zeros(outputs, np.float32))
        return [inputs[0], bias, *inputs[2:]]

    def remove_weight(self, name: str) -> None:
        del self._tensors[name], self.weights[name]

    def require_domain(self, domain: str) -> None:
        opsets = self._message.messages(MODEL_OPSETS)
        if domain not in [opset.text(OPSET_DOMAIN) for opset in opsets]:
            self._message.add(MODEL_OPSETS, Message().add(OPSET_DOMAIN, domain).add(OPSET_VERSION, 1))

    def __bytes__(self) -> bytes:
        self._graph.replace(GRAPH_NODE, [node.to_message() for node in self.nodes])
        self._graph.replace(GRAPH_INITIALIZER, self._tensors.values())
        self._graph.replace(GRAPH_INPUT, self.inputs.values())
        self._graph.replace(GRAPH_OUTPUT, self.outputs.values())
        return bytes(self._message.replace(MODEL_GRAPH, [self._graph]))


def float_value(name: str, shape: tuple[int, ...] | None) -> Message:
    """An input or an output of a graph; None is an unknown shape."""
    tensor = Message().add(ELEMENT_TYPE, FLOAT)
    if shape is not None:
        dims = Message()
        for size in shape:
            dims.add(SHAPE_DIM, Message().add(DIM_VALUE, size))
        tensor.add(TENSOR_SHAPE, dims)
    return Message().add(VALUE_NAME, name).add(VALUE_TYPE, Message().add(TYPE_TENSOR, tensor))


def _location(tensor: Message) -> dict[str, str]:
    """The file, offset and length of an external initializer; empty if it is stored in the model."""
    entries = tensor.messages(TENSOR_EXTERNAL)
    return {entry.text(ENTRY_KEY): entry.text(ENTRY_VALUE) for entry in entries}


def _named_values(graph: Message, number: int) -> dict[str, Message]:
    return {message.text(VALUE_NAME): message for message in graph.messages(number)}


def _shape(value: Message) -> tuple[int, ...] | None:
    tensor = Message(Message(value.get(VALUE_TYPE, b"")).get(TYPE_TENSOR, b""))
    if not tensor.all(TENSOR_SHAPE):
        return None
    sizes = [dim.get(DIM_VALUE) for dim in Message(tensor.get(TENSOR_SHAPE)).messages(SHAPE_DIM)]
    return None if None in sizes else tuple(sizes)


def _node(message: Message) -> Node:
    attributes = {item.text(ATTRIBUTE_NAME): _value(item) for item in message.messages(NODE_ATTRIBUTE)}
    return Node(
        message.text(NODE_OP_TYPE),
        message.text(NODE_DOMAIN),
        message.text(NODE_NAME),
        message.texts(NODE_INPUT),
        message.texts(NODE_OUTPUT),
        attributes,
        message,
    )


def _value(attribute: Message):
    """A number, a string or a list of numbers; None for attributes of other kinds."""
    kind = attribute.get(ATTRIBUTE_TYPE)
    if kind == TYPE_INT:
        return signed(attribute.get(ATTRIBUTE_I, 0))
    if kind == TYPE_FLOAT:
        return (attribute.floats(ATTRIBUTE_F) or [0.0])[-1]
    if kind == TYPE_STRING:
        return bytes(attribute.get(ATTRIBUTE_S, b"")).decode("utf-8", "replace")
    return attribute.integers(ATTRIBUTE_INTS) or attribute.floats(ATTRIBUTE_FLOATS) or None


def _attribute(name: str, value: Any) -> Message:
    attribute = Message().add(ATTRIBUTE_NAME, name)
    if isinstance(value, list):
        for item in value:
            attribute.add(ATTRIBUTE_INTS, item)
        return attribute.add(ATTRIBUTE_TYPE, TYPE_INTS)
    if isinstance(value, float):
        return attribute.add(ATTRIBUTE_F, value).add(ATTRIBUTE_TYPE, TYPE_FLOAT)
    return attribute.add(ATTRIBUTE_I, value).add(ATTRIBUTE_TYPE, TYPE_INT)

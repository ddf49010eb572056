"""Writes the QuantizeLinear and DequantizeLinear nodes of ``quantise``: of tensors, weights and biases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgevid.passes.quantize.scheme import Group, Range, Scheme, moved_inputs

LARGEST = 127
BIAS_LIMIT = 2.0**30
"""An int32 bias stays below this: the scale of a channel whose weights are tiny is raised until it does."""


def activation_scale(range_: Range, symmetric: bool) -> tuple[np.float32, np.integer]:
    """Scale and zero point: int8 around zero, or uint8 over exactly the range, which holds zero."""
    low, high = range_
    if symmetric:
        return np.float32(max(-low, high) / LARGEST or 1.0), np.int8(0)
    scale = np.float32((high - low) / 255 or 1.0)
    return scale, np.uint8(np.clip(round(-low / scale), 0, 255))


def weight_scales(weight: np.ndarray, axis: int) -> np.ndarray:
    """One scale for each index of ``axis``; 1 for a channel of zeros."""
    others = tuple(index for index in range(weight.ndim) if index != axis)
    largest = np.abs(weight).max(axis=others)
    return np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)


def write_pairs(graph: ir.Graph, group: Group, scheme: Scheme) -> None:
    """Quantise the members of a group: moves become moves of integers, all other readers get floats back."""
    writer = _GroupWriter(graph, group, scheme)
    for value in group.members:
        writer.quantised(value)
    writer.move_integers()
    writer.hand_out()


class _GroupWriter:
    def __init__(self, graph: ir.Graph, group: Group, scheme: Scheme) -> None:
        self._graph, self._members = graph, group.members
        self._integer_constants = scheme.integer_constants
        scale, zero = activation_scale(group.range, scheme.symmetric)
        self._scale, self._zero = float(scale), zero
        self._type = ir.TensorType(ir.DataType.from_numpy(zero.dtype))
        self._float = ir.TensorType(ir.DataType.FLOAT)
        name = group.members[0].name
        self._parameters = [
            _constant(graph, np.array(scale), f"{name}_scale"),
            _constant(graph, np.array(zero), f"{name}_zero_point"),
        ]
        self._integers: dict[int, ir.Value] = {}
        # Whoever reads a member now; what is written from here on reads it too.
        self._uses = {id(value): list(value.uses()) for value in group.members}
        self._moves = {
            id(node): node
            for value in group.members
            for node, _ in self._uses[id(value)]
            if self._moved(node)
        }

    def _moved(self, node: ir.Node) -> bool:
        ids = {id(value) for value in self._members}
        return bool(moved_inputs(node)) and id(node.outputs[0]) in ids

    def quantised(self, value: ir.Value) -> None:
        """Make the integers of a value: by its move, or by a QuantizeLinear after what computes it."""
        producer = value.producer()
        if producer is not None and id(producer) in self._moves:
            self._integers[id(value)] = value
            return
        node, result = _node("QuantizeLinear", [value, *self._parameters], f"{value.name}_quantised")
        result.shape, result.type = value.shape, self._type
        _insert_after(self._graph, producer, node)
        self._integers[id(value)] = result

    def move_integers(self) -> None:
        for node in self._moves.values():
            for index, value in enumerate(node.inputs):
                if value is None or value.dtype != ir.DataType.FLOAT:
                    continue
                integers = self._integers.get(id(value)) or self._quantised_constant(value)
                node.replace_input_with(index, integers)
            unfilled = node.op_type == "Pad" and (len(node.inputs) < 3 or node.inputs[2] is None)
            if unfilled and self._zero != 0:
                # It fills with the integer 0, which stands for another number than zero.
                node.resize_inputs(max(len(node.inputs), 3))
                node.replace_input_with(2, self._parameters[1])

    def hand_out(self) -> None:
        """Give the readers that are no moves the floats that the integers stand for."""
        for value in self._members:
            readers = [(node, index) for node, index in self._uses[id(value)] if id(node) not in self._moves]
            is_move = self._integers[id(value)] is value
            is_output = is_move and value.is_graph_output()
            if is_move:
                value.type = self._type
            if not readers and not is_output:
                continue
            name = f"{value.name}_dequantised"
            node, floats = _node("DequantizeLinear", [self._integers[id(value)], *self._parameters], name)
            floats.shape, floats.type = value.shape, self._float
            _insert_after(self._graph, self._integers[id(value)].producer(), node)
            for reader, index in readers:
                reader.replace_input_with(index, floats)
            if is_output:
                self._become_output(value, floats)

    def _become_output(self, value: ir.Value, floats: ir.Value) -> None:
        name = value.name
        value.name, floats.name = f"{name}_quantised", name
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = floats

    def _quantised_constant(self, value: ir.Value) -> ir.Value:
        """The integers of a constant such as the zeros of a shift: themselves a constant, or a node's result.

        TensorRT refuses an int8 constant that is not the input of a DequantizeLinear.
        """
        name = f"{value.name}_as_{self._type.dtype.name.lower()}_of_{self._parameters[0].name}"
        if not self._integer_constants:
            if id(value) not in self._integers:
                node, result = _node("QuantizeLinear", [value, *self._parameters], name)
                result.shape, result.type = value.shape, self._type
                _insert_after(self._graph, None, node)
                self._integers[id(value)] = result
            return self._integers[id(value)]
        array = value.const_value.numpy() / self._scale
        limits = np.iinfo(self._zero.dtype)
        integers = np.clip(np.rint(array) + self._zero, limits.min, limits.max).astype(self._zero.dtype)
        return _constant(self._graph, integers, name)


def write_weights(
    graph: ir.Graph, products: list[ir.Node], ranges: Mapping[int, Range], scheme: Scheme
) -> None:
    """Quantise the weights of ``products`` for each channel; ``ranges`` are of their inputs, by ``id``."""
    made: dict[tuple, ir.Value] = {}
    for node in products:
        weight, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
        axis, array = _channel_axis(node), node.inputs[1].const_value.numpy()
        scales = weight_scales(array, axis)
        has_bias = scheme.integer_constants and bias is not None and bias.const_value is not None
        if has_bias:
            x_scale, _ = activation_scale(ranges[id(node.inputs[0])], scheme.symmetric)
            numbers = np.broadcast_to(bias.const_value.numpy().reshape(-1), scales.shape)
            scales = np.maximum(scales, np.abs(numbers) / (x_scale * BIAS_LIMIT)).astype(np.float32)
        key = (id(weight), axis, scales.tobytes())
        if key not in made:
            made[key] = _weight_pair(graph, node, array, scales, axis, scheme)
        node.replace_input_with(1, made[key])
        if has_bias:
            node.replace_input_with(2, _bias(graph, node, numbers, scales * x_scale))
    _remove_unused(graph)


def _weight_pair(
    graph: ir.Graph, node: ir.Node, array: np.ndarray, scales: np.ndarray, axis: int, scheme: Scheme
) -> ir.Value:
    weight, name = node.inputs[1], f"{node.inputs[1].name}_of_{node.name}"
    parameters = [
        _constant(graph, scales, f"{name}_scale"),
        _constant(graph, np.zeros(len(scales), np.int8), f"{name}_zero_point"),
    ]
    if scheme.integer_constants:
        shape = [-1 if index == axis else 1 for index in range(array.ndim)]
        rounded = np.clip(np.rint(array / scales.reshape(shape)), -LARGEST, LARGEST)
        integers = _constant(graph, rounded.astype(np.int8), f"{name}_int8")
    else:
        quantise, integers = _node("QuantizeLinear", [weight, *parameters], f"{name}_quantised", axis=axis)
        integers.shape, integers.type = weight.shape, ir.TensorType(ir.DataType.INT8)
        graph.insert_before(node, quantise)
    pair, floats = _node("DequantizeLinear", [integers, *parameters], f"{name}_dequantised", axis=axis)
    floats.shape, floats.type = weight.shape, weight.type
    graph.insert_before(node, pair)
    return floats


def _bias(graph: ir.Graph, node: ir.Node, numbers: np.ndarray, scales: np.ndarray) -> ir.Value:
    name = f"{node.name}_bias"
    scales = scales.astype(np.float32)
    integers = _constant(graph, np.rint(numbers / scales).astype(np.int32), f"{name}_int32")
    parameters = [
        _constant(graph, scales, f"{name}_scale"),
        _constant(graph, np.zeros(len(scales), np.int32), f"{name}_zero_point"),
    ]
    pair, floats = _node("DequantizeLinear", [integers, *parameters], f"{name}_dequantised", axis=0)
    floats.shape, floats.type = integers.shape, ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(node, pair)
    return floats


def _channel_axis(node: ir.Node) -> int:
    """The axis of a product's weights along which its output channels lie."""
    if node.op_type == "Conv" or (node.op_type == "Gemm" and node.attributes.get_int("transB", 0)):
        return 0
    return node.inputs[1].const_value.numpy().ndim - 1


def _constant(graph: ir.Graph, array: np.ndarray, name: str) -> ir.Value:
    if name in graph.initializers:
        return graph.initializers[name]
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _node(op_type: str, inputs: list[ir.Value], name: str, **attributes: int) -> tuple[ir.Node, ir.Value]:
    node = ir.node(op_type, inputs, attributes=attributes, name=name)
    node.outputs[0].name = name
    return node, node.outputs[0]


def _insert_after(graph: ir.Graph, producer: ir.Node | None, node: ir.Node) -> None:
    if producer is None:
        graph.insert_before(next(iter(graph)), node)
    else:
        graph.insert_after(producer, node)


def _remove_unused(graph: ir.Graph) -> None:
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]

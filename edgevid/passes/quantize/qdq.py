"""Inserts QDQ nodes (QuantizeLinear, DequantizeLinear) for activations, weights and biases.

ONNX Runtime's own quantizer does not know the temporal ops: they would run in float between QDQ nodes, and
move four bytes for each value instead of one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgevid.passes.quantize.scheme import Group, Range, Scheme, moved_inputs

INT8_MAX = 127
MAX_BIAS = 2.0**30
"""Upper limit of an int32 bias; the scale of a channel with tiny weights is raised to stay below it."""


def activation_scale(range_: Range, symmetric: bool) -> tuple[np.float32, np.integer]:
    """Scale and zero point: int8 around zero, or uint8 over exactly the range, which must include zero."""
    low, high = range_
    if symmetric:
        return np.float32(max(-low, high) / INT8_MAX or 1.0), np.int8(0)
    scale = np.float32((high - low) / 255 or 1.0)
    return scale, np.uint8(np.clip(round(-low / scale), 0, 255))


def weight_scales(weight: np.ndarray, axis: int) -> np.ndarray:
    """One scale per index of ``axis``; 1 for a channel of zeros."""
    others = tuple(index for index in range(weight.ndim) if index != axis)
    largest = np.abs(weight).max(axis=others)
    return np.where(largest > 0, largest / INT8_MAX, 1.0).astype(np.float32)


def insert_qdq(graph: ir.Graph, group: Group, scheme: Scheme) -> None:
    """Quantize the members of a group: data movement runs on integers, all other readers get floats."""
    writer = _GroupWriter(graph, group, scheme)
    for value in group.members:
        writer.quantize(value)
    writer.move_integers()
    writer.dequantize_for_readers()


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
        # The readers before any QDQ node is inserted: those nodes read the members too.
        self._uses = {id(value): list(value.uses()) for value in group.members}
        self._moves = {
            id(node): node
            for value in group.members
            for node, _ in self._uses[id(value)]
            if self._is_integer_move(node)
        }

    def _is_integer_move(self, node: ir.Node) -> bool:
        ids = {id(value) for value in self._members}
        return bool(moved_inputs(node)) and id(node.outputs[0]) in ids

    def quantize(self, value: ir.Value) -> None:
        """Store the integers of ``value``: ``value`` itself if a move computes it, else a QuantizeLinear."""
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
                integers = self._integers.get(id(value)) or self._quantized_constant(value)
                node.replace_input_with(index, integers)
            has_default_fill = node.op_type == "Pad" and (len(node.inputs) < 3 or node.inputs[2] is None)
            if has_default_fill and self._zero != 0:
                # The default fill is the integer 0, which is not zero here: fill with the zero point.
                node.resize_inputs(max(len(node.inputs), 3))
                node.replace_input_with(2, self._parameters[1])

    def dequantize_for_readers(self) -> None:
        """Insert a DequantizeLinear for all readers other than data movement, and for graph outputs."""
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

    def _quantized_constant(self, value: ir.Value) -> ir.Value:
        """The integers of a constant such as the zeros of a shift: a constant, or the output of a node.

        TensorRT accepts int8 constants only as inputs of a DequantizeLinear.
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


def insert_weight_qdq(
    graph: ir.Graph, layers: list[ir.Node], ranges: Mapping[int, Range], scheme: Scheme
) -> None:
    """Quantize the weights of ``layers`` per output channel; ``ranges`` are of their inputs, by ``id``."""
    dequantized: dict[tuple, ir.Value] = {}
    for node in layers:
        weight, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
        axis, array = _channel_axis(node), node.inputs[1].const_value.numpy()
        scales = weight_scales(array, axis)
        has_bias = scheme.integer_constants and bias is not None and bias.const_value is not None
        if has_bias:
            x_scale, _ = activation_scale(ranges[id(node.inputs[0])], scheme.symmetric)
            numbers = np.broadcast_to(bias.const_value.numpy().reshape(-1), scales.shape)
            scales = np.maximum(scales, np.abs(numbers) / (x_scale * MAX_BIAS)).astype(np.float32)
        key = (id(weight), axis, scales.tobytes())
        if key not in dequantized:
            dequantized[key] = _weight_qdq(graph, node, array, scales, axis, scheme)
        node.replace_input_with(1, dequantized[key])
        if has_bias:
            node.replace_input_with(2, _bias(graph, node, numbers, scales * x_scale))
    _remove_unused(graph)


def _weight_qdq(
    graph: ir.Graph, node: ir.Node, array: np.ndarray, scales: np.ndarray, axis: int, scheme: Scheme
) -> ir.Value:
    weight, name = node.inputs[1], f"{node.inputs[1].name}_of_{node.name}"
    parameters = [
        _constant(graph, scales, f"{name}_scale"),
        _constant(graph, np.zeros(len(scales), np.int8), f"{name}_zero_point"),
    ]
    if scheme.integer_constants:
        shape = [-1 if index == axis else 1 for index in range(array.ndim)]
        rounded = np.clip(np.rint(array / scales.reshape(shape)), -INT8_MAX, INT8_MAX)
        integers = _constant(graph, rounded.astype(np.int8), f"{name}_int8")
    else:
        quantize, integers = _node("QuantizeLinear", [weight, *parameters], f"{name}_quantised", axis=axis)
        integers.shape, integers.type = weight.shape, ir.TensorType(ir.DataType.INT8)
        graph.insert_before(node, quantize)
    dequantize, floats = _node("DequantizeLinear", [integers, *parameters], f"{name}_dequantised", axis=axis)
    floats.shape, floats.type = weight.shape, weight.type
    graph.insert_before(node, dequantize)
    return floats


def _bias(graph: ir.Graph, node: ir.Node, numbers: np.ndarray, scales: np.ndarray) -> ir.Value:
    name = f"{node.name}_bias"
    scales = scales.astype(np.float32)
    integers = _constant(graph, np.rint(numbers / scales).astype(np.int32), f"{name}_int32")
    parameters = [
        _constant(graph, scales, f"{name}_scale"),
        _constant(graph, np.zeros(len(scales), np.int32), f"{name}_zero_point"),
    ]
    dequantize, floats = _node("DequantizeLinear", [integers, *parameters], f"{name}_dequantised", axis=0)
    floats.shape, floats.type = integers.shape, ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(node, dequantize)
    return floats


def _channel_axis(node: ir.Node) -> int:
    """The axis of output channels in the weights of a layer."""
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

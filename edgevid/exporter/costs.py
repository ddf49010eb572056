"""What a graph costs: MACs of its layers and bytes of its weights."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from edgevid import ops
from edgevid.ops import standard


def count_macs(graph: ir.Model) -> int:
    """MACs of convolutions, linear layers, matrix products and temporal ops for one inference."""
    return sum(_macs(node) for node in graph.graph)


def weight_bytes(graph: ir.Model) -> int:
    """Bytes of the floating-point values stored in the graph."""
    return sum(prod(v.shape.numpy()) * int(v.dtype.itemsize) for v in _weights(graph))


def _weights(graph: ir.Model) -> list[ir.Value]:
    return [v for v in graph.graph.initializers.values() if v.dtype and v.dtype.is_floating_point()]


def _macs(node: ir.Node) -> int:
    if node.domain == ops.DOMAIN:
        return ops.op_of(node.op_type).cost_of(node, _shape(node.inputs[0])).macs
    if node.domain:
        return 0
    if node.op_type not in standard.WITH_MACS:
        return 0
    x, weights, y = (_shape(value) for value in (*node.inputs[:2], node.outputs[0]))
    return standard.macs(node.op_type, x, weights, y, bool(node.attributes.get_int("transA", 0)))


def _shape(value: ir.Value) -> tuple[int, ...]:
    return tuple(value.shape.numpy())

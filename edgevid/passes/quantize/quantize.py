"""f32(x) -> DQ(i8(Q(x))): convolutions and matrix products in int8 by quantise-dequantise pairs.

Which tensors are quantised, and on what scale, is decided here; ``qdq`` writes the nodes. A tensor
and what only moves its numbers (slices, concatenations, reshapes) form a *group* of one scale, and the moves
work on the integers themselves: Q stands before a temporal shift and DQ after it, so that the shift moves one
byte for each number.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, section 2 (affine quantisation); Wu et al., "Integer Quantization for Deep Learning
Inference: Principles and Empirical Evaluation", 2020, sections 3 and 4 (per channel, symmetric, residual
connections).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from edgevid.passes.layer_names import describe
from edgevid.passes.quantize.qdq import write_pairs, write_weights
from edgevid.passes.quantize.scheme import TENSORRT, Group, Range, Scheme, moved_inputs
from edgevid.specs import PassReport

PRODUCTS = {"Conv", "Gemm", "MatMul"}
SMALLEST_SHARE = 5e-4
"""A convolution with a smaller share of a network's multiply-adds stays in float.

It costs nothing, and such are the ones that compute gates of pooled features, whose few large numbers leave
the others without digits: their errors in ACTION-Net were 0.2 to 0.9 of what they compute. Their shares there
are 2.4e-4 or less at 224 pixels, and those of the depthwise convolutions 8e-4 or more.
"""

ACTIVATIONS = {"Relu", "Clip"}
POOLS = {"MaxPool"}
"""What comes out of these has the scale of what goes in."""


@dataclass(frozen=True)
class Kept:
    """What stays in float: products by the name of their result, and with ``pointwise`` all but products.

    A product can also be one of two tensors, such as attention's, which reads what others give in int8.
    """

    products: frozenset[str] = frozenset()
    pointwise: bool = False


ALL_INT8 = Kept()


def quantise(
    graph: ir.Model, ranges: Mapping[str, Range], scheme: Scheme = TENSORRT, kept: Kept = ALL_INT8
) -> PassReport:
    """Quantise ``graph``, which must be lowered to standard operators, in place, but for what is ``kept``.

    ``ranges`` holds the smallest and the largest value of tensors by name, as ``calibration`` measures them.
    ``matched`` counts the products that take int8; a product is refused where a range is missing.
    """
    groups = group_values(graph.graph, ranges, scheme, kept)
    products, small = worthwhile_products(graph.graph)
    quantised = [node for node in products if groups[id(node.inputs[0])].range]
    refused = [
        f"{describe(node)}: {groups[id(node.inputs[0])].refusal}"
        for node in products
        if not groups[id(node.inputs[0])].range
    ]
    if small:
        refused.append(f"{len(small)} convolutions of less than {SMALLEST_SHARE:g} of the multiply-adds each")
    distinct = {id(group): group for group in groups.values() if group.range}
    scales = {id(v): group.range for group in distinct.values() for v in group.members}
    write_weights(graph.graph, quantised, scales, scheme)
    for group in distinct.values():
        write_pairs(graph.graph, group, scheme)
    return PassReport("quantise", len(quantised), tuple(refused))


def group_values(
    graph: ir.Graph, ranges: Mapping[str, Range], scheme: Scheme, kept: Kept = ALL_INT8
) -> dict[int, Group]:
    """The group of each float value by its ``id``; those to be quantised have a range.

    What a product reads that is ``kept`` in float stays so for all who read it.
    """
    groups = _joined(graph)
    products = {id(node) for node in worthwhile_products(graph)[0]}
    for node in graph:
        if node.outputs[0].name in kept.products:
            for value in node.inputs:
                if id(value) in groups:
                    groups[id(value)].refusal = "int8 is too far from float here, or for who reads the same"
        elif id(node) in products or not kept.pointwise:
            for value in _wanted(node, scheme, id(node) in products):
                groups[id(value)].wanted = True
    for group in {id(group): group for group in groups.values()}.values():
        if group.wanted and not group.refusal:
            _find_range(group, ranges)
    return groups


def is_product(node: ir.Node) -> bool:
    """A convolution or matrix product of a float tensor with constant weights."""
    if node.op_type not in PRODUCTS or node.domain or node.inputs[0].dtype != ir.DataType.FLOAT:
        return False
    weight, x = node.inputs[1], node.inputs[0]
    if weight.const_value is None or x.const_value is not None:
        return False
    # ONNX Runtime scales the columns of one int8 matrix, not of a stack (as of MViT's relative positions).
    return node.op_type == "Conv" or len(weight.const_value.shape) == 2


def worthwhile_products(graph: ir.Graph) -> tuple[list[ir.Node], list[ir.Node]]:
    """The products to quantise, and the convolutions that are too small to."""
    products = [node for node in graph if is_product(node)]
    costs = [_multiply_adds(node) for node in products]
    least = SMALLEST_SHARE * sum(costs)
    small = [node for node, cost in zip(products, costs) if node.op_type == "Conv" and cost < least]
    left = {id(node) for node in small}
    return [node for node in products if id(node) not in left], small


def products_by_result(graph: ir.Graph) -> dict[str, str]:
    """The layer of each product, by the name of its result."""
    return {
        node.outputs[0].name: describe(node) for node in graph if node.op_type in PRODUCTS and not node.domain
    }


def share_of_products(graph: ir.Graph, without: Collection[str]) -> float:
    """The share of the products' multiply-adds that is not in those ``without``, named by their results."""
    costs = {node.outputs[0].name: _multiply_adds(node) for node in graph if is_product(node)}
    left = sum(cost for name, cost in costs.items() if name not in without)
    return left / max(sum(costs.values()), 1)


def _multiply_adds(node: ir.Node) -> int:
    weight, result = node.inputs[1].shape.numpy(), node.outputs[0].shape.numpy()
    if node.op_type == "Conv":
        return prod(result) * prod(weight[1:])
    return prod(result) * int(node.inputs[0].shape[-1])


def spread_ranges(graph: ir.Model, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges, and those of what is moved from, or pooled out of, tensors that have one."""
    known = dict(ranges)
    for node in graph.graph:
        sources = moved_inputs(node) or (node.inputs[:1] if node.op_type in POOLS else [])
        found = [known[value.name] for value in sources if value.name in known]
        if found and len(found) == sum(value.const_value is None for value in sources):
            for result in node.outputs:
                known.setdefault(result.name, _union(found))
    return known


def _joined(graph: ir.Graph) -> dict[int, Group]:
    groups: dict[int, Group] = {}

    def group_of(value: ir.Value) -> Group:
        if id(value) not in groups:
            groups[id(value)] = Group([value])
        return groups[id(value)]

    for value in _float_values(graph):
        group_of(value)
    for node in graph:
        joined = moved_inputs(node) or (node.inputs[:1] if node.op_type in POOLS else [])
        for value in (*joined, *node.outputs) if joined else ():
            first, other = group_of(node.outputs[0]), group_of(value)
            # A constant such as the zeros of a shift is used by many groups: each makes its own of it.
            if value.const_value is None and first is not other:
                first.members += other.members
                groups.update((id(member), first) for member in other.members)
    return groups


def _float_values(graph: ir.Graph) -> Iterator[ir.Value]:
    for value in (*graph.inputs, *(result for node in graph for result in node.outputs)):
        if value.dtype == ir.DataType.FLOAT:
            yield value


def _wanted(node: ir.Node, scheme: Scheme, is_worthwhile: bool) -> list[ir.Value]:
    """The values around ``node`` that are to be quantised."""
    if is_worthwhile:
        results = [_activated(node)] if scheme.all_results and node.op_type == "Conv" else []
        return [node.inputs[0], *results]
    if node.domain or any(value is None or value.dtype != ir.DataType.FLOAT for value in node.inputs):
        return []
    variable = [value for value in node.inputs if value.const_value is None]
    if node.op_type in scheme.others and len(variable) == len(node.inputs):
        return [*variable, _activated(node)]
    if node.op_type == "Add" and len(variable) == 2 and not scheme.all_results:
        # Of a residual sum, the branch that is there first; the other's convolution does the sum.
        return [min(variable, key=_age)]
    return []


def _age(value: ir.Value) -> int:
    producer = value.producer()
    return -1 if producer is None else _position(producer)


def _position(node: ir.Node) -> int:
    return next(index for index, other in enumerate(node.graph) if other is node)


def _activated(node: ir.Node) -> ir.Value:
    """What ``node`` gives, after the activation if nothing else reads it before."""
    result = node.outputs[0]
    readers = [reader for reader, _ in result.uses()]
    if len(readers) == 1 and readers[0].op_type in ACTIVATIONS and not result.is_graph_output():
        return readers[0].outputs[0]
    return result


def _find_range(group: Group, ranges: Mapping[str, Range]) -> None:
    sources = [value for value in group.members if not _is_moved(value)]
    unknown = [value.name for value in sources if value.name not in ranges]
    if not sources:
        group.refusal = "it holds constants alone"
        return
    if unknown:
        group.refusal = f"no range of '{unknown[0]}' was measured"
        return
    low, high = _union([ranges[value.name] for value in sources])
    group.range = min(low, 0.0), max(high, 0.0)


def _is_moved(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and (bool(moved_inputs(producer)) or producer.op_type in POOLS)


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)

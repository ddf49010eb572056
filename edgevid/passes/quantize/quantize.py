"""f32(x) -> DQ(i8(Q(x))): convolutions and matrix products in int8, expressed by QDQ nodes.

This module decides which tensors are quantized, and on what scale; ``qdq`` inserts the nodes. A tensor and
its copies made by data movement (slices, concatenations, reshapes) form a *group* with one scale, and the
movement runs on integers: Q comes before a temporal shift and DQ after it, so that the shift moves one byte
per value.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, section 2 (affine quantization); Wu et al., "Integer Quantization for Deep Learning
Inference: Principles and Empirical Evaluation", 2020, sections 3 and 4 (per channel, symmetric, residual
connections).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from edgevid.passes.layer_names import describe
from edgevid.passes.quantize.qdq import insert_qdq, insert_weight_qdq
from edgevid.passes.quantize.scheme import TENSORRT, Group, Range, Scheme, moved_inputs
from edgevid.specs import PassReport

QUANTIZABLE_OPS = {"Conv", "Gemm", "MatMul"}
MIN_SHARE = 5e-4
"""A convolution with a smaller share of a network's MACs stays in float.

int8 would save nothing there, and it is inaccurate in the convolutions that compute gates from pooled
features: a few large values leave the others without precision. Their relative error in ACTION-Net was 0.2 to
0.9. At 224 pixels, their shares of the MACs are 2.4e-4 or less, those of the depthwise convolutions 8e-4 or
more.
"""

ACTIVATIONS = {"Relu", "Clip"}
POOLS = {"MaxPool"}
"""The output of these has the scale of their input."""


@dataclass(frozen=True)
class Exclusions:
    """What stays in float: ``layers`` by the names of their outputs; with ``pointwise``, all other operators.

    ``layers`` may include products of two activations, such as those of attention: their inputs stay in
    float.
    """

    layers: frozenset[str] = frozenset()
    pointwise: bool = False


ALL_INT8 = Exclusions()


def quantize(
    graph: ir.Model, ranges: Mapping[str, Range], scheme: Scheme = TENSORRT, exclusions: Exclusions = ALL_INT8
) -> PassReport:
    """Quantize ``graph``, which must be lowered to standard operators, in place, except for ``exclusions``.

    ``ranges`` maps tensor names to their smallest and largest value (see ``ranges.measure_ranges``).
    ``matched`` counts the layers in int8; a layer whose input has no measured range is refused.
    """
    groups = group_values(graph.graph, ranges, scheme, exclusions)
    layers, small = layers_to_quantize(graph.graph)
    quantized = [node for node in layers if groups[id(node.inputs[0])].range]
    refused = [
        f"{describe(node)}: {groups[id(node.inputs[0])].refusal}"
        for node in layers
        if not groups[id(node.inputs[0])].range
    ]
    if small:
        refused.append(f"{len(small)} convolutions of less than {MIN_SHARE:g} of the MACs each")
    distinct = {id(group): group for group in groups.values() if group.range}
    scales = {id(v): group.range for group in distinct.values() for v in group.members}
    insert_weight_qdq(graph.graph, quantized, scales, scheme)
    for group in distinct.values():
        insert_qdq(graph.graph, group, scheme)
    # The spelling in the manifests of bundles.
    return PassReport("quantise", len(quantized), tuple(refused))


def group_values(
    graph: ir.Graph, ranges: Mapping[str, Range], scheme: Scheme, exclusions: Exclusions = ALL_INT8
) -> dict[int, Group]:
    """The group of each float value by its ``id``; only groups to quantize have a range.

    The inputs of excluded layers stay in float for all their readers.
    """
    groups = _join_groups(graph)
    layer_ids = {id(node) for node in layers_to_quantize(graph)[0]}
    for node in graph:
        if node.outputs[0].name in exclusions.layers:
            for value in node.inputs:
                if id(value) in groups:
                    groups[
                        id(value)
                    ].refusal = "int8 is too inaccurate here, or in a layer that reads the same input"
        elif id(node) in layer_ids or not exclusions.pointwise:
            for value in _values_to_quantize(node, scheme, id(node) in layer_ids):
                groups[id(value)].should_quantize = True
    for group in {id(group): group for group in groups.values()}.values():
        if group.should_quantize and not group.refusal:
            _find_range(group, ranges)
    return groups


def is_quantizable(node: ir.Node) -> bool:
    """Whether ``node`` is a convolution or matrix product of a float tensor with constant weights."""
    if node.op_type not in QUANTIZABLE_OPS or node.domain or node.inputs[0].dtype != ir.DataType.FLOAT:
        return False
    weight, x = node.inputs[1], node.inputs[0]
    if weight.const_value is None or x.const_value is not None:
        return False
    # ONNX Runtime scales the columns of one int8 matrix, not of a stack (as of MViT's relative positions).
    return node.op_type == "Conv" or len(weight.const_value.shape) == 2


def layers_to_quantize(graph: ir.Graph) -> tuple[list[ir.Node], list[ir.Node]]:
    """The layers to quantize, and the convolutions that are too small to benefit."""
    layers = [node for node in graph if is_quantizable(node)]
    macs = [_macs(node) for node in layers]
    min_macs = MIN_SHARE * sum(macs)
    small = [node for node, count in zip(layers, macs) if node.op_type == "Conv" and count < min_macs]
    small_ids = {id(node) for node in small}
    return [node for node in layers if id(node) not in small_ids], small


def layers_by_output(graph: ir.Graph) -> dict[str, str]:
    """The description of each convolution and matrix product, by the name of its output."""
    return {
        node.outputs[0].name: describe(node)
        for node in graph
        if node.op_type in QUANTIZABLE_OPS and not node.domain
    }


def quantized_share(graph: ir.Graph, without: Collection[str]) -> float:
    """The share of the quantizable MACs that remains without the layers ``without``, given by output name."""
    macs = {node.outputs[0].name: _macs(node) for node in graph if is_quantizable(node)}
    quantized = sum(count for name, count in macs.items() if name not in without)
    return quantized / max(sum(macs.values()), 1)


def _macs(node: ir.Node) -> int:
    weight, result = node.inputs[1].shape.numpy(), node.outputs[0].shape.numpy()
    if node.op_type == "Conv":
        return prod(result) * prod(weight[1:])
    return prod(result) * int(node.inputs[0].shape[-1])


def propagate_ranges(graph: ir.Model, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """``ranges``, extended to the outputs of data movement and max pools whose inputs all have one."""
    ranges_by_name = dict(ranges)
    for node in graph.graph:
        sources = moved_inputs(node) or (node.inputs[:1] if node.op_type in POOLS else [])
        source_ranges = [ranges_by_name[value.name] for value in sources if value.name in ranges_by_name]
        if source_ranges and len(source_ranges) == sum(value.const_value is None for value in sources):
            for result in node.outputs:
                ranges_by_name.setdefault(result.name, _union(source_ranges))
    return ranges_by_name


def _join_groups(graph: ir.Graph) -> dict[int, Group]:
    groups: dict[int, Group] = {}

    def group_of(value: ir.Value) -> Group:
        if id(value) not in groups:
            groups[id(value)] = Group([value])
        return groups[id(value)]

    for value in _float_values(graph):
        group_of(value)
    for node in graph:
        sources = moved_inputs(node) or (node.inputs[:1] if node.op_type in POOLS else [])
        for value in (*sources, *node.outputs) if sources else ():
            first, other = group_of(node.outputs[0]), group_of(value)
            # Many groups share a constant such as the zeros of a shift: each quantizes its own copy.
            if value.const_value is None and first is not other:
                first.members += other.members
                groups.update((id(member), first) for member in other.members)
    return groups


def _float_values(graph: ir.Graph) -> Iterator[ir.Value]:
    for value in (*graph.inputs, *(result for node in graph for result in node.outputs)):
        if value.dtype == ir.DataType.FLOAT:
            yield value


def _values_to_quantize(node: ir.Node, scheme: Scheme, is_worthwhile: bool) -> list[ir.Value]:
    """The inputs and outputs of ``node`` to quantize."""
    if is_worthwhile:
        results = [_activated(node)] if scheme.all_results and node.op_type == "Conv" else []
        return [node.inputs[0], *results]
    if node.domain or any(value is None or value.dtype != ir.DataType.FLOAT for value in node.inputs):
        return []
    variable = [value for value in node.inputs if value.const_value is None]
    if node.op_type in scheme.others and len(variable) == len(node.inputs):
        return [*variable, _activated(node)]
    if node.op_type == "Add" and len(variable) == 2 and not scheme.all_results:
        # Of a residual sum, the branch computed first; the sum is fused into the other's convolution.
        return [min(variable, key=_age)]
    return []


def _age(value: ir.Value) -> int:
    producer = value.producer()
    return -1 if producer is None else _position(producer)


def _position(node: ir.Node) -> int:
    return next(index for index, other in enumerate(node.graph) if other is node)


def _activated(node: ir.Node) -> ir.Value:
    """The output of ``node``, or of the activation that is its only reader."""
    result = node.outputs[0]
    readers = [reader for reader, _ in result.uses()]
    if len(readers) == 1 and readers[0].op_type in ACTIVATIONS and not result.is_graph_output():
        return readers[0].outputs[0]
    return result


def _find_range(group: Group, ranges: Mapping[str, Range]) -> None:
    sources = [value for value in group.members if not _is_moved(value)]
    unmeasured = [value.name for value in sources if value.name not in ranges]
    if not sources:
        group.refusal = "its input is constant"
        return
    if unmeasured:
        group.refusal = f"no range of '{unmeasured[0]}' was measured"
        return
    low, high = _union([ranges[value.name] for value in sources])
    group.range = min(low, 0.0), max(high, 0.0)


def _is_moved(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and (bool(moved_inputs(producer)) or producer.op_type in POOLS)


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)

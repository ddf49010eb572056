"""Mean over axes of length 1 -> Reshape; Reshape(Reshape(x)) -> Reshape(x); Reshape to its shape -> x."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgevid.specs import PassReport


def remove_no_ops(graph: ir.Model) -> PassReport:
    """Remove reshapes without effect and means over one element, such as the one frame of a stream."""
    matched = 0
    for node in graph.graph:
        if node.domain == "" and (_is_mean_of_one(node) or node.op_type == "Reshape"):
            matched += _simplify(graph.graph, node)
    common.RemoveUnusedNodesPass()(graph)
    return PassReport("remove_no_ops", matched)


def _is_mean_of_one(node: ir.Node) -> bool:
    source, result = node.inputs[0] if node.inputs else None, node.outputs[0]
    return (
        node.op_type == "ReduceMean"
        and _elements(source) is not None
        and _elements(source) == _elements(result)
    )


def _simplify(graph: ir.Graph, node: ir.Node) -> bool:
    """Read from the source of a chain of reshapes; remove the node if that has its shape already."""
    source, result = node.inputs[0], node.outputs[0]
    first = source
    while (
        (producer := first.producer()) is not None and producer.op_type == "Reshape" and producer.domain == ""
    ):
        first = producer.inputs[0]
    if _static(result) is None or _static(first) is None:
        return False
    if _static(first) == _static(result) and not result.is_graph_output():
        result.replace_all_uses_with(first)
        return True
    if first is source and node.op_type == "Reshape":
        return False
    shape = ir.tensor(np.array(_static(result), dtype=np.int64), name=f"{result.name}_shape")
    constant = ir.Value(
        name=shape.name, shape=shape.shape, type=ir.TensorType(shape.dtype), const_value=shape
    )
    graph.register_initializer(constant)
    reshape = ir.node("Reshape", [first, constant], name=f"{node.name}_reshape", outputs=None)
    reshape.outputs[0].name, reshape.outputs[0].shape = f"{result.name}_reshaped", result.shape
    reshape.outputs[0].type = result.type
    reshape.meta.update(node.meta)
    ir.convenience.replace_nodes_and_values(graph, node, [node], [reshape], [result], [reshape.outputs[0]])
    return True


def _static(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(value.shape.numpy())


def _elements(value: ir.Value | None) -> int | None:
    shape = _static(value)
    return None if shape is None else int(np.prod(shape))

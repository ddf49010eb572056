"""f(constant, ...) -> constant; dead nodes are removed."""

from __future__ import annotations

from math import prod

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from edgevid.passes.complete_shapes import complete_shapes
from edgevid.specs import PassReport

REORDERING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat")
"""Operators whose output never has more elements than their inputs, even if its shape is not known yet."""

MAX_CANVAS_ELEMENTS = 1 << 16
"""The largest constant tensor of equal elements that is folded because a ScatterND writes into it."""


def fold_constants(graph: ir.Model) -> PassReport:
    """Evaluate nodes with constant inputs; constants become initializers, and dead nodes are removed.

    Function bodies stay: their constants depend on the attributes of each call.
    """
    before = size = len(graph.graph)
    while True:
        _fold_once(graph)
        complete_shapes(graph)  # folding made the targets of reshapes constant
        if len(graph.graph) >= size:
            return PassReport("fold_constants", before - len(graph.graph))
        size = len(graph.graph)  # new shapes can make more nodes constant, such as the bounds of a roll


def _fold_once(graph: ir.Model) -> None:
    optimizer.fold_constants(graph, should_fold=lambda node: _does_not_grow(node) or None)
    for tidy in (
        common.IdentityEliminationPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
    ):
        tidy(graph)


def _does_not_grow(node: ir.Node) -> bool:
    """Whether the outputs of a node have no more elements than its inputs; it is then folded at any size.

    Networks store weights in another order, or compute them as weight norm does. A node that expands its
    input, such as a tensor of zeros, stays, except for a small one that a ScatterND writes into: a mask such
    as that of Swin's windows would otherwise be computed again for each clip.
    """
    if node.op_type in REORDERING:
        return True
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    if any(value.shape is None or not value.shape.is_static() for value in values):
        return False
    input_elements, output_elements = (
        sum(prod(value.shape.numpy()) for value in side if value is not None)
        for side in (node.inputs, node.outputs)
    )
    is_canvas = any(reader.op_type == "ScatterND" for value in node.outputs for reader, _ in value.uses())
    return output_elements <= (
        MAX_CANVAS_ELEMENTS if is_canvas and node.op_type == "ConstantOfShape" else input_elements
    )

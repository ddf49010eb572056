"""f(constant, ...) -> constant, and what nothing reads is dropped."""

from __future__ import annotations

from math import prod

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from edgevid.passes.complete_shapes import complete_shapes
from edgevid.specs import PassReport

REORDERING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat")
"""What gives no more elements than it takes, also where its shape is not known yet."""

MOST_PAINTED = 1 << 16
"""Elements of a constant canvas."""


def fold_constants(graph: ir.Model) -> PassReport:
    """Evaluate what depends on constants alone; constants become initializers, dead nodes go.

    Function bodies are left as they are: their constants depend on the attributes of each call.
    """
    before = size = len(graph.graph)
    while True:
        _fold_once(graph)
        complete_shapes(graph)  # folding told where reshapes lead
        if len(graph.graph) >= size:
            return PassReport("fold_constants", before - len(graph.graph))
        size = len(graph.graph)  # what is known now may tell more, as where the next axis of a roll is cut


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
    """Whether a node gives no more elements than it takes: it is evaluated whatever their number.

    A network may keep weights in another order, or compute them from others as weight norm does. What makes
    much of little, such as a tensor of zeros, stays a node, but for a small one that numbers are written
    into: it may be a mask, as that of Swin's windows, which would be painted anew for each clip.
    """
    if node.op_type in REORDERING:
        return True
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    if any(value.shape is None or not value.shape.is_static() for value in values):
        return False
    taken, given = (
        sum(prod(value.shape.numpy()) for value in side if value is not None)
        for side in (node.inputs, node.outputs)
    )
    painted = any(reader.op_type == "ScatterND" for value in node.outputs for reader, _ in value.uses())
    return given <= (MOST_PAINTED if painted and node.op_type == "ConstantOfShape" else taken)

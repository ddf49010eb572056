"""f(constant, ...) -> constant, and what nothing reads is dropped."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from edgevid.specs import PassReport

REORDERING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze")
"""What gives as many elements as it takes: evaluated whatever the size, as a network may keep weights in
another order. What makes much of little, such as a tensor of zeros, stays a node."""


def fold_constants(graph: ir.Model) -> PassReport:
    """Evaluate what depends on constants alone; constants become initializers, dead nodes go.

    Function bodies are left as they are: their constants depend on the attributes of each call.
    """
    before = len(graph.graph)
    optimizer.fold_constants(graph, should_fold=lambda node: True if node.op_type in REORDERING else None)
    for tidy in (
        common.IdentityEliminationPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
    ):
        tidy(graph)
    return PassReport("fold_constants", before - len(graph.graph))

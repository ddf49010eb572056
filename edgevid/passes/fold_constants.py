"""f(constant, ...) -> constant, and what nothing reads is dropped."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from edgevid.specs import PassReport

LARGEST = 1 << 28
"""Elements of a constant that is evaluated: weights too, which a network may keep in another order."""


def fold_constants(graph: ir.Model) -> PassReport:
    """Evaluate what depends on constants alone; constants become initializers, dead nodes go.

    Function bodies are left as they are: their constants depend on the attributes of each call.
    """
    before = len(graph.graph)
    optimizer.fold_constants(graph, input_size_limit=LARGEST, output_size_limit=LARGEST)
    for tidy in (
        common.IdentityEliminationPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
    ):
        tidy(graph)
    return PassReport("fold_constants", before - len(graph.graph))

"""f(constant, ...) -> constant, and what nothing reads is dropped."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from edgevid.specs import PassReport


def fold_constants(graph: ir.Model) -> PassReport:
    """Evaluate what depends on constants alone; constants become initializers, dead nodes go.

    Function bodies are left as they are: their constants depend on the attributes of each call.
    """
    before = len(graph.graph)
    optimizer.fold_constants(graph)
    for tidy in (
        common.IdentityEliminationPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
    ):
        tidy(graph)
    return PassReport("fold_constants", before - len(graph.graph))

"""Graph rewrites, one module each; its docstring states the equation. This file lists them in order.

A pass is a function from a graph to a ``PassReport``: it changes the graph in place and reports the number of
matches and why it refused others. The graph is verified after each pass that matched.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgevid.passes.drop_zero_bias import drop_zero_bias
from edgevid.passes.fold_batch_norm import fold_batch_norm
from edgevid.passes.fold_constants import fold_constants
from edgevid.passes.frames.volumes_to_frames import volumes_to_frames
from edgevid.passes.lower import lowering
from edgevid.passes.recognize.temporal_conv import recognize_temporal_conv
from edgevid.passes.recognize.temporal_shift import recognize_temporal_shift
from edgevid.passes.remove_no_ops import remove_no_ops
from edgevid.passes.verify import verify, verify_structure
from edgevid.specs import PassReport

Pass = Callable[[ir.Model], PassReport]

STANDARD: tuple[Pass, ...] = (
    fold_constants,
    drop_zero_bias,
    recognize_temporal_shift,
    recognize_temporal_conv,
    fold_batch_norm,
    volumes_to_frames,
    remove_no_ops,
)
"""The passes that every graph goes through, in order; ``to_streaming`` runs after them."""

LOWERING: tuple[Pass, ...] = lowering()
"""Passes that replace temporal ops by standard operators, for runtimes without model-local functions."""


def run_passes(
    graph: ir.Model, passes: tuple[Pass, ...], fixed_shapes: bool = True
) -> tuple[PassReport, ...]:
    """Apply ``passes`` in order; returns their reports.

    Verifies the structure of the graph before the first pass and after each that matched, and the whole graph
    after the last. With ``fixed_shapes``, the shapes of inputs and outputs must be static.
    """
    reports: list[PassReport] = []
    for rewrite in passes:
        if not reports or reports[-1].matched:
            verify_structure(graph, fixed_shapes)
        reports.append(rewrite(graph))
    verify(graph, fixed_shapes)
    return tuple(reports)

"""The words of a manifest for what runs the temporal ops."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgevid.ops import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir


def count_temporal_ops(graph: ir.Model, how: str) -> tuple[str, ...]:
    """Each temporal op of ``graph``, ``how`` it runs, and its count: ``TemporalShift (how) x10``."""
    counts = Counter(node.op_type for node in graph.graph if node.domain == DOMAIN)
    return tuple(f"{name} ({how}) x{count}" for name, count in sorted(counts.items()))

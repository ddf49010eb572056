"""TemporalOp(x) -> standard operators, for runtimes that do not read model-local functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid.ops import DOMAIN, OPS
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.specs import PassReport


def lower(graph: ir.Model, name: str, variant: str = "", keep: Collection[ir.Node] = ()) -> PassReport:
    """Replace each node of the op ``name`` and of its streaming step, except those in ``keep``."""
    op = OPS[name]
    nodes = [
        node
        for node in graph.graph
        if node.domain == DOMAIN and node.op_type in op.op_types and node not in keep
    ]
    for node in nodes:
        build = Builder(graph.graph, node, node.name or op.snake_name)
        if node.op_type == op.name or op.lower_step is None:
            op.lower(node, build, variant or op.default_variant)
        else:
            op.lower_step(node, build)
    if nodes:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    return PassReport(f"lower_{op.snake_name}", len(nodes))


def lowering(
    variants: Mapping[str, str] | None = None, keep: Collection[ir.Node] = ()
) -> tuple[Callable[[ir.Model], PassReport], ...]:
    """A pass per op, each in its variant in ``variants`` or in its default one."""
    variant_by_op = variants or {}

    def lower_one(name: str) -> Callable[[ir.Model], PassReport]:
        return lambda graph: lower(graph, name, variant_by_op.get(name, ""), keep)

    return tuple(lower_one(name) for name in OPS)

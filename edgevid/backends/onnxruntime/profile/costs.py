"""What a node costs: multiplications by the bundle's model file, bytes by the profiler."""

from __future__ import annotations

from math import ceil, prod

from edgevid.backends.onnxruntime.profile.events import NodeEvents
from edgevid.backends.onnxruntime.specialize.coverage import coverage_of
from edgevid.backends.onnxruntime.specialize.winograd import TILE
from edgevid.onnxfile.graph import Model, Node
from edgevid.ops import DOMAIN, standard

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Shape"})
"""Operators that give a tensor a new shape, in the same memory."""
SELECTIONS = frozenset({"Slice", "Gather", "GatherND", "GatherElements"})
"""Operators that read no more than they write."""


def macs_of(file: Model, node: Node) -> int | None:
    """The MACs of a node of the bundle's file, as the export counts them; None if a shape is unknown."""
    if node.domain == DOMAIN:
        flops = coverage_of(file, node, None, "").flops
        return None if flops is None else flops // 2
    if node.domain or node.op_type not in standard.WITH_MACS:
        return 0
    names = (*node.inputs[:2], node.outputs[0])
    x, weights, y = (file.shapes.get(name, file.weights.get(name)) for name in names)
    if x is None or weights is None or y is None:
        return None
    return standard.macs(node.op_type, x, weights, y, bool(node.attributes.get("transA", 0)))


def winograd_macs(node: Node, optimized: Model, event: NodeEvents) -> int | None:
    """The products between Winograd's transforms; None for other nodes."""
    if node.kind != f"{DOMAIN}.WinogradConv":
        return None
    images, _, height, width = event.input_shapes[0]
    tiles = images * ceil(height / TILE) * ceil(width / TILE)
    return prod(optimized.weights[node.inputs[1]]) * tiles


def bytes_of(event: NodeEvents, node: Node | None, optimized: Model) -> tuple[int, int]:
    """The bytes that a node must read, weights too, and write."""
    if event.op in VIEWS:
        return 0, 0
    if event.op in SELECTIONS:
        return event.output_bytes, event.output_bytes
    # The profiler leaves out weights that the runtime has packed for itself.
    weights = {name for name in node.inputs if name in optimized.weights} if node else set()
    return event.activation_bytes + sum(map(optimized.weight_bytes, weights)), event.output_bytes


def arithmetic_of(op: str) -> str:
    """The precision of the products: ``int8`` for the runtime's quantized operators, else ``fp32``."""
    return "int8" if "QLinear" in op or "Integer" in op or op.startswith("QGemm") else "fp32"

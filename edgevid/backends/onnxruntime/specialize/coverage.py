"""Op coverage: the kernel that runs each temporal op of a model on this machine, and what the op costs."""

from __future__ import annotations

from math import prod
from types import SimpleNamespace

from edgevid.backends.protocol import OpCoverage
from edgevid.onnxfile.graph import Model, Node
from edgevid.ops import DOMAIN, STEP, op_of

INSIDE_A_CONVOLUTION = ("ShiftConv", "FrameStackConv")
NO_KERNEL = "the library has no kernel for it, so its function body runs"


def temporal_ops(model: Model) -> list[Node]:
    return [node for node in model.nodes if node.domain == DOMAIN]


def kernels_of(model: Model) -> dict[str, str]:
    """The kernel in the optimized ``model`` that took each temporal op, as text by the op's name."""
    kernels = {}
    for node in temporal_ops(model):
        block = node.attributes.get("block")
        layout = "" if block is None else " (plain)" if block == 1 else f" (blocks of {block})"
        # The name is that of the 1x1 convolution with the shift, whatever else was fused into it.
        kind = node.op_type.replace("Depthwise", "").replace("Stride2", "")
        kernels[node.name] = kind + layout
    return kernels


def coverage_of(model: Model, op: Node, kernel: str | None, reason: str) -> OpCoverage:
    """The coverage of ``op``, a node of the unmodified ``model``."""
    shape, state = model.shapes.get(op.inputs[0]), ()
    if op.op_type.endswith(STEP):
        state = model.shapes.get(op.inputs[1])
    if shape is None or state is None:
        return OpCoverage(op.name, op.op_type, kernel, reason, None, None, None)
    cost = op_of(op.op_type).cost_of(_as_ir(model, op), shape)
    state_bytes = 4 * 2 * prod(state) if state else 0
    before = cost.bytes_moved + state_bytes
    # A shift that a convolution reads in place moves nothing, but a step still writes its state.
    after = state_bytes if kernel is not None and kernel.startswith(INSIDE_A_CONVOLUTION) else before
    return OpCoverage(op.name, op.op_type, kernel, reason, 2 * cost.macs, before, after)


def _as_ir(model: Model, node: Node) -> SimpleNamespace:
    """The node with what ``edgevid.ops`` reads of an ``onnx_ir.Node``: devices lack onnx_ir."""

    def value(name: str) -> SimpleNamespace | None:
        if not name:
            return None
        shape = model.shapes.get(name, model.weights.get(name))
        array = SimpleNamespace(is_static=lambda: True, numpy=lambda: shape)
        return SimpleNamespace(shape=None if shape is None else array)

    attributes = {
        name: SimpleNamespace(as_int=lambda number=number: number) for name, number in node.attributes.items()
    }
    return SimpleNamespace(
        op_type=node.op_type, attributes=attributes, inputs=[value(name) for name in node.inputs]
    )

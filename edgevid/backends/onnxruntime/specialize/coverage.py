"""The receipt: what became of each temporal op of a model on this machine, and what it costs."""

from __future__ import annotations

from math import prod
from types import SimpleNamespace

from edgevid.backends.protocol import OpReceipt
from edgevid.onnxfile.graph import Model, Node
from edgevid.ops import DOMAIN, STEP, op_of

INSIDE_A_CONVOLUTION = ("ShiftConv", "FrameStackConv")
NO_KERNEL = "the library has no kernel for it, so its portable body runs"


def temporal_ops(model: Model) -> list[Node]:
    return [node for node in model.nodes if node.domain == DOMAIN]


def kernels_of(model: Model) -> dict[str, str]:
    """By the name of a temporal op, the kernel in the optimised ``model`` that took it, in words."""
    kernels = {}
    for node in temporal_ops(model):
        block = node.attributes.get("block")
        layout = "" if block is None else " (plain)" if block == 1 else f" (blocks of {block})"
        # The shift is in the 1x1 convolution, whatever else is done in the same pass.
        kind = node.op_type.replace("Depthwise", "").replace("Stride2", "")
        kernels[node.name] = kind + layout
    return kernels


def receipt_of(model: Model, op: Node, kernel: str | None, reason: str) -> OpReceipt:
    """That of ``op``, a node of the unmodified ``model``."""
    shape, state = model.shapes.get(op.inputs[0]), ()
    if op.op_type.endswith(STEP):
        state = model.shapes.get(op.inputs[1])
    if shape is None or state is None:
        return OpReceipt(op.name, op.op_type, kernel, reason, None, None, None)
    cost = op_of(op.op_type).cost_of(_as_ir(model, op), shape)
    kept = 4 * 2 * prod(state) if state else 0
    before = cost.bytes_moved + kept
    # What a convolution reads in its place moves nothing, but a step keeps its state for the next frame.
    after = kept if kernel is not None and kernel.startswith(INSIDE_A_CONVOLUTION) else before
    return OpReceipt(op.name, op.op_type, kernel, reason, 2 * cost.macs, before, after)


def _as_ir(model: Model, node: Node) -> SimpleNamespace:
    """The node as far as the modules of the ops look at one of onnx_ir, which a device does not have."""

    def value(name: str) -> SimpleNamespace | None:
        if not name:
            return None
        shape = model.shapes.get(name, model.weights.get(name))
        known = SimpleNamespace(is_static=lambda: True, numpy=lambda: shape)
        return SimpleNamespace(shape=None if shape is None else known)

    attributes = {
        name: SimpleNamespace(as_int=lambda number=number: number) for name, number in node.attributes.items()
    }
    return SimpleNamespace(
        op_type=node.op_type, attributes=attributes, inputs=[value(name) for name in node.inputs]
    )

"""Running mean: for each frame, the mean over the frames of its clip up to and including it.

``x`` is ``(N*T, C, ...)``, frames of a clip adjacent. The last frame of a clip gets the mean over the clip,
so a network that averages its frames' outputs can return its best estimate after each frame.

Source: Lin, Gan, Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, section 4.2
(an online network's predictions are averaged as frames come).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.ops.moves import concat, slice_of
from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Cost, Example, StreamingStep, TemporalOp, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

ONNX_FUNCTIONS = {
    "RunningMean": """
        <domain: "edgevid", opset_import: ["" : 18]>
        RunningMean <frames> (x) => (y) {
            first = Constant <value_int = 1> ()
            one = Constant <value_ints = [1]> ()
            infer = Constant <value_ints = [-1]> ()
            frames_scalar = Constant <value_int: int = @frames> ()
            clip_length = Reshape (frames_scalar, one)
            end = Add (frames_scalar, first)
            planes_shape = Constant <value_ints = [0, -1]> ()
            shape = Shape (x)
            planes = Reshape (x, planes_shape)
            values = Shape <start = 1> (planes)
            by_frame = Concat <axis = 0> (infer, clip_length, values)
            clips = Reshape (planes, by_frame)
            totals = CumSum (clips, first)
            count = Range (first, end, first)
            count_column = Unsqueeze (count, one)
            counts = CastLike (count_column, x)
            means = Div (totals, counts)
            y = Reshape (means, shape)
        }
    """,
    # The state is a mean, not a sum: it stays in range in long streams.
    "RunningMeanStep": """
        <domain: "edgevid", opset_import: ["" : 18]>
        RunningMeanStep (x, state) => (y, next_state) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            channels = Shape <start = 1, end = 2> (x)
            before = Slice (state, zero, channels, one)
            count = Slice (state, channels, end, one)
            unit_float = Constant <value_float = 1.0> ()
            unit = CastLike (unit_float, x)
            count_now = Add (count, unit)
            change = Sub (x, before)
            share = Div (change, count_now)
            y = Add (before, share)
            next_state = Concat <axis = 1> (y, count_now)
        }
    """,
}
"""The function bodies of the op and its streaming step, in ONNX's text format; other runtimes inline them."""


@dataclass(frozen=True)
class Mean:
    """The attribute of a running mean."""

    frames: int

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape`` ``(N*T, C, ...)``."""
        if len(shape) < 2:
            raise ValueError(f"a running mean takes (N*T, C, ...), not {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")


def from_node(node: ir.Node) -> Mean:
    """The attribute of a ``RunningMean`` or its step; raises ``ValueError`` if it is missing."""
    return Mean(1 if node.op_type == "RunningMeanStep" else integers(node, "frames")[0])


def cost(mean: Mean, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """Sums and quotients, no MACs; each element is read and written once."""
    return Cost(macs=0, bytes_moved=2 * prod(shape) * itemsize)


def streaming_step(mean: Mean, shape: tuple[int, ...]) -> StreamingStep:
    """One frame ``(N, C, ...)`` at a time: the state is the mean so far and a channel with its count."""
    return StreamingStep("RunningMeanStep", {}, (shape[0], shape[1] + 1, *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.running_mean(x, frames)``, registered on first call.

    The result has the type of ``x``; half precision is summed in float32. Raises ``ValueError`` for shapes
    that do not fit.
    """
    import torch

    def counts(like: torch.Tensor, frames: int) -> torch.Tensor:
        count = torch.arange(1, frames + 1, dtype=like.dtype, device=like.device)
        return count.view(-1, *[1] * (like.ndim - 1))

    def forward(x: torch.Tensor, frames: int) -> torch.Tensor:
        Mean(frames).check(tuple(x.shape))
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        totals = precise.unflatten(0, (-1, frames)).cumsum(1)
        return torch.empty_like(x).copy_((totals / counts(precise, frames)).flatten(0, 1))

    def backward(gradient: torch.Tensor, x: torch.Tensor, frames: int) -> tuple[Any, ...]:
        shares = gradient.unflatten(0, (-1, frames)) / counts(gradient, frames)
        return (shares.flip(1).cumsum(1).flip(1).flatten(0, 1),)

    return register_torch_op(
        "running_mean(Tensor x, SymInt frames) -> Tensor",
        forward,
        lambda x, *_: torch.empty_like(x),
        backward,
    )


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    x, frames = node.inputs[0], from_node(node).frames
    shape = tuple(x.shape.numpy())
    by_frame = (shape[0] // frames, frames, prod(shape[1:]))
    averages = np.tril(np.ones((frames, frames))) / np.arange(1, frames + 1)[:, None]
    matrix = build.constant(averages.astype(x.dtype.numpy()))
    clips = build.node("Reshape", [x, build.ints(by_frame)], by_frame, x.type)
    means = build.node("MatMul", [matrix, clips], by_frame, x.type)
    build.replace_anchor(build.node("Reshape", [means, build.ints(shape)], shape, x.type))


def lower_step(node: ir.Node, build: GraphBuilder) -> None:
    x, state = node.inputs
    shape, channels, type_ = tuple(x.shape.numpy()), x.shape[1], x.type
    before, count = slice_of(state, 1, 0, channels, build), slice_of(state, 1, channels, channels + 1, build)
    unit = build.constant(np.ones(1, x.dtype.numpy()))
    count_now = build.node("Add", [count, unit], (shape[0], 1, *shape[2:]), type_)
    change = build.node("Sub", [x, before], shape, type_)
    y = build.node("Add", [before, build.node("Div", [change, count_now], shape, type_)], shape, type_)
    build.replace_anchor(y, concat([y, count_now], 1, build))


OP = TemporalOp(
    name="RunningMean",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    lower_step=lower_step,
    example=Example(((8, 6, 3, 2),), {"frames": 4}),
    variants={"matrix product": "matrix product"},
)

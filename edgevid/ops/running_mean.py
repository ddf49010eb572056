"""Running mean: for each frame, the mean of all frames of its clip so far, itself included.

``x`` is ``(N*T, C, ...)``, frames of a clip adjacent. The last frame of a clip gets the mean over the clip: a
network that averages its frames' answers can so give its best one after each frame.

Source: Lin, Gan, Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, section 4.2
(an online network's predictions are averaged as frames come).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgevid.ops import DOMAIN, Cost, StreamingStep, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

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
    # A mean, and not a sum, is kept: it stays in range however long the stream is.
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
            news = Sub (x, before)
            share = Div (news, count_now)
            y = Add (before, share)
            next_state = Concat <axis = 1> (y, count_now)
        }
    """,
}
"""The op and its streaming step in standard ops, in ONNX's text form; a plain runtime inlines them."""


@dataclass(frozen=True)
class Mean:
    """The attribute of one running mean."""

    frames: int

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless a tensor of ``shape`` ``(N*T, C, ...)`` can be averaged so."""
        if len(shape) < 2:
            raise ValueError(f"a running mean takes (N*T, C, ...), not {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")


def from_node(node: ir.Node) -> Mean:
    """What a ``RunningMean``, or a step of one, is; ``ValueError`` says what it lacks."""
    return Mean(1 if node.op_type == "RunningMeanStep" else integers(node, "frames")[0])


def cost(mean: Mean, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """Sums and quotients, no multiply-adds; every element is read and written once."""
    return Cost(macs=0, bytes_moved=2 * prod(shape) * itemsize)


def streaming_step(mean: Mean, shape: tuple[int, ...]) -> StreamingStep:
    """One frame ``(N, C, ...)`` at a time: the state is the mean so far and, a channel more, of how many."""
    return StreamingStep("RunningMeanStep", {}, (shape[0], shape[1] + 1, *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.running_mean(x, frames)``, registered on first call.

    Gives the type of ``x``; half precision is summed in float32. Raises ``ValueError`` for shapes that do not
    fit.
    """
    import torch

    def counts(like: torch.Tensor, frames: int) -> torch.Tensor:
        count = torch.arange(1, frames + 1, dtype=like.dtype, device=like.device)
        return count.view(-1, *[1] * (like.ndim - 1))

    @torch.library.custom_op(
        f"{DOMAIN}::running_mean", mutates_args=(), schema="(Tensor x, SymInt frames) -> Tensor"
    )
    def running_mean(x: torch.Tensor, frames: int) -> torch.Tensor:
        Mean(frames).check(tuple(x.shape))
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        totals = precise.unflatten(0, (-1, frames)).cumsum(1)
        return torch.empty_like(x).copy_((totals / counts(precise, frames)).flatten(0, 1))

    @running_mean.register_fake
    def _(x: torch.Tensor, frames: int) -> torch.Tensor:
        return torch.empty_like(x)

    def keep_attributes(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        _, ctx.frames = inputs

    def backward(ctx: Any, gradient: torch.Tensor) -> tuple:
        shares = gradient.unflatten(0, (-1, ctx.frames)) / counts(gradient, ctx.frames)
        return shares.flip(1).cumsum(1).flip(1).flatten(0, 1), None

    running_mean.register_autograd(backward, setup_context=keep_attributes)
    return torch.ops.edgevid.running_mean

"""Temporal difference: how much each frame differs from the one before it, features of motion.

``later`` and ``earlier`` are ``(N*T, C, ...)``, frames of a clip adjacent: two views of the same features, of
which the later frame's is usually convolved. The differences ``later[t+1] - earlier[t]`` of a clip are one
fewer than its frames. Looking ahead, frame ``t`` gets that to frame ``t+1``, and the last one zeros; causal,
frame ``t`` gets that to frame ``t-1``, ``later[t] - earlier[t-1]``, and the first one zeros.

Sources: Jiang et al., "STM", ICCV 2019, section 3.2 (channel-wise motion module); Li et al., "TEA: Temporal
Excitation and Aggregation for Action Recognition", CVPR 2020, section 3.1; Wang, She, Smolic, "ACTION-Net",
CVPR 2021, section 3.3 (motion excitation). All look ahead; the causal form is ours.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgevid.ops import DOMAIN, Cost, StreamingStep, input_shape, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

ONNX_FUNCTIONS = {
    # The differences between two frames of zeros: a window over them that starts at 1 looks ahead, at 0 back.
    "TemporalDifference": """
        <domain: "edgevid", opset_import: ["" : 18]>
        TemporalDifference <frames, causal> (later, earlier) => (y) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            last = Constant <value_ints = [-1]> ()
            infer = Constant <value_ints = [-1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            frames_scalar = Constant <value_int: int = @frames> ()
            causal_scalar = Constant <value_int: int = @causal> ()
            clip_length = Reshape (frames_scalar, one)
            is_causal = Reshape (causal_scalar, one)
            start = Sub (one, is_causal)
            stop = Add (start, clip_length)
            shape = Shape (later)
            frame_shape = Shape <start = 1> (later)
            clips_shape = Concat <axis = 0> (infer, clip_length, frame_shape)
            later_clips = Reshape (later, clips_shape)
            earlier_clips = Reshape (earlier, clips_shape)
            to_frames = Slice (later_clips, one, end, one)
            from_frames = Slice (earlier_clips, zero, last, one)
            differences = Sub (to_frames, from_frames)
            black_float = Constant <value_float = 0.0> ()
            black = CastLike (black_float, later)
            first_frame = Slice (later_clips, zero, one, one)
            black_shape = Shape (first_frame)
            black_frame = Expand (black, black_shape)
            padded = Concat <axis = 1> (black_frame, differences, black_frame)
            window = Slice (padded, start, stop, one)
            y = Reshape (window, shape)
        }
    """,
    "TemporalDifferenceStep": """
        <domain: "edgevid", opset_import: ["" : 18]>
        TemporalDifferenceStep (later, state, earlier) => (y, next_state) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            channels = Shape <start = 1, end = 2> (later)
            before = Slice (state, zero, channels, one)
            seen = Slice (state, channels, end, one)
            difference = Sub (later, before)
            y = Mul (difference, seen)
            white_float = Constant <value_float = 1.0> ()
            white = CastLike (white_float, later)
            seen_shape = Shape (seen)
            seen_now = Expand (white, seen_shape)
            next_state = Concat <axis = 1> (earlier, seen_now)
        }
    """,
}
"""The op and its streaming step in standard ops, in ONNX's text form; a plain runtime inlines them."""


@dataclass(frozen=True)
class Difference:
    """The attributes of one difference, and the shape of the features that it subtracts."""

    frames: int
    causal: bool
    earlier_shape: tuple[int, ...]

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless features of ``shape`` ``(N*T, C, ...)`` can be compared so."""
        if len(shape) < 2:
            raise ValueError(f"a temporal difference takes (N*T, C, ...), not {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")
        if self.earlier_shape != shape:
            raise ValueError(f"features of shapes {shape} and {self.earlier_shape} cannot be subtracted")


def from_node(node: ir.Node) -> Difference:
    """What a ``TemporalDifference``, or a step of one, is; ``ValueError`` says what it lacks."""
    if node.op_type == "TemporalDifferenceStep":
        return Difference(1, True, input_shape(node, 2))
    frames, causal = integers(node, "frames", "causal")
    return Difference(frames, bool(causal), input_shape(node, 1))


def cost(difference: Difference, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """Subtractions, no multiply-adds; two tensors are read and one is written."""
    return Cost(macs=0, bytes_moved=3 * prod(shape) * itemsize)


def streaming_step(difference: Difference, shape: tuple[int, ...]) -> StreamingStep | str:
    """One frame ``(N, C, ...)`` at a time: the state is the previous frame's ``earlier`` and a channel more.

    That channel is zero before the first frame, whose difference is therefore zeros, and one after it.
    """
    if not difference.causal:
        return "it compares a frame with the next one"
    return StreamingStep("TemporalDifferenceStep", {}, (shape[0], shape[1] + 1, *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.temporal_difference(later, earlier, frames, causal)``, registered on first call.

    Gives the type and memory format of ``later``, under autocast too. Raises ``ValueError`` for shapes that
    do not fit.
    """
    import torch

    @torch.library.custom_op(
        f"{DOMAIN}::temporal_difference",
        mutates_args=(),
        schema="(Tensor later, Tensor earlier, SymInt frames, bool causal) -> Tensor",
    )
    def temporal_difference(
        later: torch.Tensor, earlier: torch.Tensor, frames: int, causal: bool
    ) -> torch.Tensor:
        Difference(frames, causal, tuple(earlier.shape)).check(tuple(later.shape))
        y = torch.zeros_like(later)
        first, second = later.unflatten(0, (-1, frames)), earlier.unflatten(0, (-1, frames))
        target = y.unflatten(0, (-1, frames))
        target[:, _places(causal)] = first[:, 1:] - second[:, :-1]
        return y

    @temporal_difference.register_fake
    def _(later: torch.Tensor, earlier: torch.Tensor, frames: int, causal: bool) -> torch.Tensor:
        return torch.empty_like(later)

    def keep_attributes(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        _, earlier, ctx.frames, ctx.causal = inputs
        ctx.earlier_dtype = earlier.dtype

    def backward(ctx: Any, gradient: torch.Tensor) -> tuple:
        given = gradient.unflatten(0, (-1, ctx.frames))[:, _places(ctx.causal)]
        black = torch.zeros_like(gradient.unflatten(0, (-1, ctx.frames))[:, :1])
        for_later = torch.cat((black, given), 1).flatten(0, 1)
        for_earlier = -torch.cat((given, black), 1).flatten(0, 1)
        return for_later, for_earlier.to(ctx.earlier_dtype), None, None

    temporal_difference.register_autograd(backward, setup_context=keep_attributes)
    return torch.ops.edgevid.temporal_difference


def _places(causal: bool) -> slice:
    """The frames of a clip that get its differences."""
    return slice(1, None) if causal else slice(None, -1)

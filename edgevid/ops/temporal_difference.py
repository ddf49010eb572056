"""Temporal difference: the difference between adjacent frames, as motion features.

``later`` and ``earlier`` are ``(N*T, C, ...)``, frames of a clip adjacent: two versions of the same features,
of which ``later`` is usually convolved. Bidirectional, frame ``t`` gets ``later[t+1] - earlier[t]``, and the
last frame zeros; causal, frame ``t`` gets ``later[t] - earlier[t-1]``, and the first frame zeros.

Sources: Jiang et al., "STM", ICCV 2019, section 3.2 (channel-wise motion module); Li et al., "TEA: Temporal
Excitation and Aggregation for Action Recognition", CVPR 2020, section 3.1; Wang, She, Smolic, "ACTION-Net",
CVPR 2021, section 3.3 (motion excitation). All of them look ahead; the causal form is new here.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.ops.moves import PADDED, SLICES, concat, shift_frames, slice_of
from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Cost, Example, StreamingStep, TemporalOp, input_shape, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

ONNX_FUNCTIONS = {
    # Zeros, the differences, zeros: a window that starts at 1 looks ahead, at 0 back.
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
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, later)
            first_frame = Slice (later_clips, zero, one, one)
            zero_shape = Shape (first_frame)
            zero_frame = Expand (fill, zero_shape)
            padded = Concat <axis = 1> (zero_frame, differences, zero_frame)
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
            valid = Slice (state, channels, end, one)
            difference = Sub (later, before)
            y = Mul (difference, valid)
            one_float = Constant <value_float = 1.0> ()
            one_value = CastLike (one_float, later)
            valid_shape = Shape (valid)
            valid_now = Expand (one_value, valid_shape)
            next_state = Concat <axis = 1> (earlier, valid_now)
        }
    """,
}
"""The function bodies of the op and its streaming step, in ONNX's text format; other runtimes inline them."""


@dataclass(frozen=True)
class Difference:
    """The attributes of a difference, and the shape of the features to subtract."""

    frames: int
    causal: bool
    earlier_shape: tuple[int, ...]

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts features of ``shape`` ``(N*T, C, ...)``."""
        if len(shape) < 2:
            raise ValueError(f"a temporal difference takes (N*T, C, ...), not {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")
        if self.earlier_shape != shape:
            raise ValueError(f"features of shapes {shape} and {self.earlier_shape} cannot be subtracted")


def from_node(node: ir.Node) -> Difference:
    """The attributes of a ``TemporalDifference`` or its step; raises ``ValueError`` for a missing one."""
    if node.op_type == "TemporalDifferenceStep":
        return Difference(1, True, input_shape(node, 2))
    frames, causal = integers(node, "frames", "causal")
    return Difference(frames, bool(causal), input_shape(node, 1))


def cost(difference: Difference, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """Subtractions, no MACs; two tensors are read and one is written."""
    return Cost(macs=0, bytes_moved=3 * prod(shape) * itemsize)


def streaming_step(difference: Difference, shape: tuple[int, ...]) -> StreamingStep | str:
    """One frame ``(N, C, ...)`` at a time: the state is the previous ``earlier`` and a channel with a valid
    flag.

    The flag is 0 before the first frame, whose difference is therefore zeros, and 1 after it.
    """
    if not difference.causal:
        return "it compares a frame with the next one"
    return StreamingStep("TemporalDifferenceStep", {}, (shape[0], shape[1] + 1, *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.temporal_difference(later, earlier, frames, causal)``, registered on first call.

    The result has the type and memory format of ``later``, under autocast too. Raises ``ValueError`` for
    shapes that do not fit.
    """
    import torch

    def forward(later: torch.Tensor, earlier: torch.Tensor, frames: int, causal: bool) -> torch.Tensor:
        Difference(frames, causal, tuple(earlier.shape)).check(tuple(later.shape))
        y = torch.zeros_like(later)
        first, second = later.unflatten(0, (-1, frames)), earlier.unflatten(0, (-1, frames))
        target = y.unflatten(0, (-1, frames))
        target[:, _places(causal)] = first[:, 1:] - second[:, :-1]
        return y

    def backward(gradient: Any, later: Any, earlier: Any, frames: int, causal: bool) -> tuple[Any, ...]:
        inside = gradient.unflatten(0, (-1, frames))[:, _places(causal)]
        zeros = torch.zeros_like(gradient.unflatten(0, (-1, frames))[:, :1])
        for_later = torch.cat((zeros, inside), 1).flatten(0, 1)
        for_earlier = -torch.cat((inside, zeros), 1).flatten(0, 1)
        return for_later, for_earlier.to(earlier.dtype)

    return register_torch_op(
        "temporal_difference(Tensor later, Tensor earlier, SymInt frames, bool causal) -> Tensor",
        forward,
        lambda later, *_: torch.empty_like(later),
        backward,
    )


def _places(causal: bool) -> slice:
    """The frames of a clip that receive a difference."""
    return slice(1, None) if causal else slice(None, -1)


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    (later, earlier), difference = node.inputs, from_node(node)
    shape, frames = tuple(later.shape.numpy()), difference.frames
    if frames == 1:
        zeros = build.zeros(shape, later.dtype.numpy())
        build.replace_anchor(build.node("Identity", [zeros], shape, later.type))
        return
    if shape[0] == frames:
        later, earlier = slice_of(later, 0, 1, frames, build), slice_of(earlier, 0, 0, frames - 1, build)
        differences = build.node("Sub", [later, earlier], (frames - 1, *shape[1:]), later.type)
        if variant == PADDED:
            pads = [0] * 2 * len(shape)
            pads[0 if difference.causal else len(shape)] = 1
            build.replace_anchor(build.node("Pad", [differences, build.ints(pads)], shape, later.type))
            return
        zeros = build.zeros((1, *shape[1:]), later.dtype.numpy())
        parts = [zeros, differences] if difference.causal else [differences, zeros]
        build.replace_anchor(concat(parts, 0, build))
        return
    if difference.causal:
        earlier = shift_frames(earlier, -1, frames, build)
    else:
        later = shift_frames(later, 1, frames, build)
    differences = build.node("Sub", [later, earlier], shape, later.type)
    build.replace_anchor(
        build.node("Mul", [differences, _valid_mask(shape, difference, later, build)], shape, later.type)
    )


def _valid_mask(
    shape: tuple[int, ...], difference: Difference, like: ir.Value, build: GraphBuilder
) -> ir.Value:
    """1 for each frame with a difference, 0 for the first or last frame of each clip."""
    edge = 0 if difference.causal else difference.frames - 1
    valid = np.arange(shape[0]) % difference.frames != edge
    return build.constant(valid.reshape(-1, *[1] * (len(shape) - 1)).astype(like.dtype.numpy()))


def lower_step(node: ir.Node, build: GraphBuilder) -> None:
    later, state, earlier = node.inputs
    shape, type_ = tuple(later.shape.numpy()), later.type
    channels, valid_shape = shape[1], (shape[0], 1, *shape[2:])
    before, valid = slice_of(state, 1, 0, channels, build), slice_of(state, 1, channels, channels + 1, build)
    difference = build.node("Sub", [later, before], shape, type_)
    y = build.node("Mul", [difference, valid], shape, type_)
    ones = build.constant(np.ones(valid_shape, later.dtype.numpy()))
    build.replace_anchor(y, concat([earlier, ones], 1, build))


OP = TemporalOp(
    name="TemporalDifference",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    lower_step=lower_step,
    example=Example(((8, 6, 3, 2), (8, 6, 3, 2)), {"frames": 4, "causal": 1}),
    variants={variant: f"subtraction, {variant}" for variant in (SLICES, PADDED)},
)

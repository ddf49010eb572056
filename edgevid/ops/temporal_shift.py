"""Temporal shift: some channels of a frame come from its neighbors, at no arithmetic cost.

``x`` is ``(N*T, C, ...)``, frames of a clip adjacent. Channels ``[0, fold)`` of frame ``t`` come from frame
``t + first``, channels ``[fold, 2*fold)`` from frame ``t + second``, the others stay; frames beyond the clip
are zeros. ``first=1, second=-1`` is the bidirectional shift of TSM, ``first=-1, second=1`` that of PP-TSM,
and ``first=-1, second=0`` the causal, online shift.

Source: Lin, Gan, Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, sections 3
(shift) and 4.2 (online).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgevid.ops.moves import MOVES, concat, shift_frames, slice_of
from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Cost, Example, StreamingStep, TemporalOp, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

ONNX_FUNCTIONS = {
    # A frame of zeros on either side of the clip: a window that starts at 1 + offset is the shifted group.
    # Not Pad with axes: ONNX Runtime 1.24 and older cannot infer its shape inside a function.
    "TemporalShift": """
        <domain: "edgevid", opset_import: ["" : 18]>
        TemporalShift <frames, fold, first, second> (x) => (y) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            channel_axis = Constant <value_ints = [2]> ()
            infer = Constant <value_ints = [-1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            frames_scalar = Constant <value_int: int = @frames> ()
            fold_scalar = Constant <value_int: int = @fold> ()
            first_scalar = Constant <value_int: int = @first> ()
            second_scalar = Constant <value_int: int = @second> ()
            clip_length = Reshape (frames_scalar, one)
            fold_1 = Reshape (fold_scalar, one)
            fold_2 = Add (fold_1, fold_1)
            offset_1 = Reshape (first_scalar, one)
            offset_2 = Reshape (second_scalar, one)
            start_1 = Add (offset_1, one)
            start_2 = Add (offset_2, one)
            end_1 = Add (start_1, clip_length)
            end_2 = Add (start_2, clip_length)
            shape = Shape (x)
            frame_shape = Shape <start = 1> (x)
            clips_shape = Concat <axis = 0> (infer, clip_length, frame_shape)
            clips = Reshape (x, clips_shape)
            group_1 = Slice (clips, zero, fold_1, channel_axis)
            group_2 = Slice (clips, fold_1, fold_2, channel_axis)
            rest = Slice (clips, fold_2, end, channel_axis)
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, x)
            frame_1 = Slice (group_1, zero, one, one)
            frame_2 = Slice (group_2, zero, one, one)
            frame_shape_1 = Shape (frame_1)
            frame_shape_2 = Shape (frame_2)
            zeros_1 = Expand (fill, frame_shape_1)
            zeros_2 = Expand (fill, frame_shape_2)
            padded_1 = Concat <axis = 1> (zeros_1, group_1, zeros_1)
            padded_2 = Concat <axis = 1> (zeros_2, group_2, zeros_2)
            moved_1 = Slice (padded_1, start_1, end_1, one)
            moved_2 = Slice (padded_2, start_2, end_2, one)
            shifted = Concat <axis = 2> (moved_1, moved_2, rest)
            y = Reshape (shifted, shape)
        }
    """,
    "TemporalShiftStep": """
        <domain: "edgevid", opset_import: ["" : 18]>
        TemporalShiftStep <fold> (x, state) => (y, next_state) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            fold_scalar = Constant <value_int: int = @fold> ()
            fold_1 = Reshape (fold_scalar, one)
            rest = Slice (x, fold_1, end, one)
            y = Concat <axis = 1> (state, rest)
            next_state = Slice (x, zero, fold_1, one)
        }
    """,
}
"""The function bodies of the op and its streaming step, in ONNX's text format; other runtimes inline them."""

DIRECTIONS = ((1, -1), (-1, 1), (-1, 0), (1, 0))
"""The supported pairs of frame offsets, of the first and of the second fold."""


@dataclass(frozen=True)
class Shift:
    """The attributes of a shift."""

    frames: int
    fold: int
    first: int = 1
    second: int = -1

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape`` ``(N*T, C, ...)``."""
        if (self.first, self.second) not in DIRECTIONS:
            raise ValueError(f"shift directions must be one of {DIRECTIONS}, not {(self.first, self.second)}")
        if len(shape) < 2:
            raise ValueError(f"a shift takes (N*T, C, ...), not {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")
        if self.fold < 0 or self.moved_channels > shape[1]:
            raise ValueError(f"fold {self.fold} does not fit in {shape[1]} channels")

    @property
    def moved_channels(self) -> int:
        return self.fold * (2 if self.second else 1)

    @property
    def is_causal(self) -> bool:
        """Whether no output frame depends on a later input frame."""
        return max(self.first, self.second) <= 0


def from_node(node: ir.Node) -> Shift:
    """The attributes of a ``TemporalShift`` or its step; raises ``ValueError`` for a missing one."""
    if node.op_type == "TemporalShiftStep":
        return Shift(1, *integers(node, "fold"), -1, 0)
    return Shift(*integers(node, "frames", "fold", "first", "second"))


def cost(shift: Shift, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """No MACs; each element is read and written once."""
    return Cost(macs=0, bytes_moved=2 * prod(shape) * itemsize)


def streaming_step(shift: Shift, shape: tuple[int, ...]) -> StreamingStep | str:
    """One frame ``(N, C, ...)`` at a time: the state is the previous frame's first ``fold`` channels.

    A shift that reads future frames has no step; the result is then the reason, a sentence.
    """
    if not shift.is_causal:
        return "it takes channels from the next frame"
    return StreamingStep("TemporalShiftStep", {"fold": shift.fold}, (shape[0], shift.fold, *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.temporal_shift(x, frames, fold, first, second)``, registered on first call.

    Works on any dtype and memory format, and keeps both, under autocast too; raises ``ValueError`` for a
    fold or a number of frames that does not fit. Its gradient is the shift in the opposite direction.
    """
    import torch

    def forward(x: torch.Tensor, frames: int, fold: int, first: int, second: int) -> torch.Tensor:
        Shift(frames, fold, first, second).check(tuple(x.shape))
        shifted = x.clone()
        source, target = x.unflatten(0, (-1, frames)), shifted.unflatten(0, (-1, frames))
        for start, offset in ((0, first), (fold, second)):
            group = slice(start, start + fold)
            if offset == 1:
                target[:, :-1, group] = source[:, 1:, group]
                target[:, -1, group] = 0
            elif offset == -1:
                target[:, 1:, group] = source[:, :-1, group]
                target[:, 0, group] = 0
        return shifted

    def backward(gradient: Any, x: Any, frames: int, fold: int, first: int, second: int) -> tuple[Any, ...]:
        return (torch_op()(gradient, frames, fold, -first, -second),)

    return register_torch_op(
        "temporal_shift(Tensor x, SymInt frames, int fold, int first, int second) -> Tensor",
        forward,
        lambda x, *_: torch.empty_like(x),
        backward,
    )


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    x, shift = node.inputs[0], from_node(node)
    parts = [
        shift_frames(slice_of(x, 1, group, group + shift.fold, build), offset, shift.frames, build, variant)
        for group, offset in ((0, shift.first), (shift.fold, shift.second))
        if offset and shift.fold
    ]
    channels = x.shape[1]
    if shift.moved_channels < channels:
        parts.append(slice_of(x, 1, shift.moved_channels, channels, build))
    build.replace_anchor(concat(parts, 1, build))


def lower_step(node: ir.Node, build: GraphBuilder) -> None:
    x, state = node.inputs
    fold, channels = node.attributes["fold"].as_int(), x.shape[1]
    rest = [slice_of(x, 1, fold, channels, build)] if fold < channels else []
    y = concat([state, *rest], 1, build)
    build.replace_anchor(y, slice_of(x, 1, 0, fold, build))


OP = TemporalOp(
    name="TemporalShift",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    lower_step=lower_step,
    example=Example(((8, 6, 3, 2),), {"frames": 4, "fold": 2, "first": -1, "second": 0}),
    variants={variant: f"4-D, {variant}" for variant in MOVES},
)

"""Frame stack: the input frames of a temporal filter, concatenated along the channels.

``x`` is ``(N*T, C, ...)``, frames of a clip adjacent. Frame ``t`` of the result, ``(N*T', taps*C, ...)``,
contains the frames ``t*stride + first + j*dilation`` for ``j = 0 .. taps-1``, the oldest first; frames beyond
the clip are zeros. ``T' = ceil(T / stride)``, as for a convolution whose padding is half its filter. A
convolution over time and space thus becomes one over space: ``Conv3d(x) = Conv2d(stack(x))``, with the
weights ``(O, C, k, kh, kw)`` rearranged to ``(O, k*C, kh, kw)``.

Sources: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015 (the 3-D
convolution); Chellapilla, Puri, Simard, "High Performance Convolutional Neural Networks for Document
Processing", 2006 (the unrolling, here along one axis only).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.ops.moves import concat, slice_of
from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Cost, Example, StreamingStep, TemporalOp, input_shape, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

ONNX_FUNCTIONS = {
    # Clips (N, T+1, C, P); the last frame is zeros, in place of every frame beyond the clip.
    # Not Pad: ONNX Runtime 1.24 and older cannot infer its shape inside a function if the pads are constant.
    "FrameStack": """
        <domain: "edgevid", opset_import: ["" : 18]>
        FrameStack <frames, taps, first, dilation, stride> (x) => (y) {
            zero = Constant <value_int = 0> ()
            one = Constant <value_ints = [1]> ()
            step = Constant <value_int = 1> ()
            infer = Constant <value_ints = [-1]> ()
            planes_shape = Constant <value_ints = [0, 0, -1]> ()
            frames_scalar = Constant <value_int: int = @frames> ()
            taps_scalar = Constant <value_int: int = @taps> ()
            first_scalar = Constant <value_int: int = @first> ()
            dilation_scalar = Constant <value_int: int = @dilation> ()
            stride_scalar = Constant <value_int: int = @stride> ()
            clip_length = Reshape (frames_scalar, one)
            tap_count = Reshape (taps_scalar, one)
            planes = Reshape (x, planes_shape)
            plane_shape = Shape <start = 1> (planes)
            clips_shape = Concat <axis = 0> (infer, clip_length, plane_shape)
            clips = Reshape (planes, clips_shape)
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, x)
            batch = Shape <start = 0, end = 1> (clips)
            frame_shape = Concat <axis = 0> (batch, one, plane_shape)
            frame_beyond = Expand (fill, frame_shape)
            padded = Concat <axis = 1> (clips, frame_beyond)
            start = Range (zero, frames_scalar, stride_scalar)
            start_column = Unsqueeze (start, one)
            tap = Range (zero, taps_scalar, step)
            reach = Mul (tap, dilation_scalar)
            offset = Add (reach, first_scalar)
            position = Add (start_column, offset)
            not_before = GreaterOrEqual (position, zero)
            not_after = Less (position, frames_scalar)
            inside = And (not_before, not_after)
            source = Where (inside, position, frames_scalar)
            windows = Gather <axis = 1> (padded, source)
            channels = Shape <start = 1, end = 2> (x)
            stacked = Mul (channels, tap_count)
            pixels = Shape <start = 2> (x)
            shape = Concat <axis = 0> (infer, stacked, pixels)
            y = Reshape (windows, shape)
        }
    """,
    "FrameStackStep": """
        <domain: "edgevid", opset_import: ["" : 18]>
        FrameStackStep <taps, dilation> (x, state) => (y, next_state) {
            zero = Constant <value_int = 0> ()
            one = Constant <value_ints = [1]> ()
            step = Constant <value_int = 1> ()
            keep = Constant <value_ints = [0]> ()
            infer = Constant <value_ints = [-1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            taps_scalar = Constant <value_int: int = @taps> ()
            dilation_scalar = Constant <value_int: int = @dilation> ()
            tap_count = Reshape (taps_scalar, one)
            history = Concat <axis = 1> (state, x)
            channels = Shape <start = 1, end = 2> (x)
            next_state = Slice (history, channels, end, one)
            pixels = Shape <start = 2> (x)
            by_frame_shape = Concat <axis = 0> (keep, infer, channels, pixels)
            by_frame = Reshape (history, by_frame_shape)
            tap = Range (zero, taps_scalar, step)
            source = Mul (tap, dilation_scalar)
            window = Gather <axis = 1> (by_frame, source)
            stacked = Mul (channels, tap_count)
            shape = Concat <axis = 0> (keep, stacked, pixels)
            y = Reshape (window, shape)
        }
    """,
}
"""The function bodies of the op and its streaming step, in ONNX's text format; other runtimes inline them."""


@dataclass(frozen=True)
class Stack:
    """The attributes of a stack; ``first`` is the offset of its oldest frame."""

    frames: int
    taps: int
    first: int
    dilation: int = 1
    stride: int = 1

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape`` ``(N*T, C, ...)``."""
        if len(shape) < 2:
            raise ValueError(f"frames are (N*T, C, ...), not of {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")
        if min(self.taps, self.dilation, self.stride) < 1:
            raise ValueError(
                f"{self.taps} taps, dilation {self.dilation} and stride {self.stride} are not all at least 1"
            )

    @property
    def offsets(self) -> range:
        """The frame offset of each tap."""
        return range(self.first, self.first + self.taps * self.dilation, self.dilation)

    @property
    def frames_out(self) -> int:
        return frames_out(self.frames, self.stride)

    def shape_out(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] // self.frames * self.frames_out, shape[1] * self.taps, *shape[2:])

    def sources(self) -> list[list[int | None]]:
        """For each frame of the result, the frames of its clip that it contains; None is a frame of zeros."""
        starts = range(0, self.frames, self.stride)
        windows = [[start + offset for offset in self.offsets] for start in starts]
        return [[frame if 0 <= frame < self.frames else None for frame in row] for row in windows]


def frames_out(frames: int, stride: int) -> int:
    """``ceil(frames / stride)`` with non-negative operands: ONNX's division rounds towards zero."""
    return (frames + stride - 1) // stride


def from_node(node: ir.Node) -> Stack:
    """The attributes of a ``FrameStack`` or its step; raises ``ValueError`` for a missing one."""
    if node.op_type == "FrameStackStep":
        taps, dilation = integers(node, "taps", "dilation")
        reach = input_shape(node, 1)[1] // input_shape(node, 0)[1]
        return Stack(1, taps, -reach, dilation)
    return Stack(*integers(node, "frames", "taps", "first", "dilation", "stride"))


def cost(stack: Stack, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """Copies, no MACs: each element is read once and written once per tap."""
    return Cost(macs=0, bytes_moved=(prod(shape) + prod(stack.shape_out(shape))) * itemsize)


def streaming_step(stack: Stack, shape: tuple[int, ...]) -> StreamingStep | str | None:
    """One frame ``(N, C, ...)`` at a time: the state is the last ``-first`` frames, ``(N, -first*C, ...)``.

    They are concatenated along the channels, the oldest first. A stack of the current frame has no state.
    """
    newest = stack.offsets[-1]
    if newest > 0:
        return "it reads the next frame" if newest == 1 else f"it reads the next {newest} frames"
    if stack.stride > 1:
        return f"it has an output only every {stack.stride} frames"
    if stack.first == 0:
        return None
    attributes = {"taps": stack.taps, "dilation": stack.dilation}
    return StreamingStep("FrameStackStep", attributes, (shape[0], -stack.first * shape[1], *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.frame_stack(x, frames, taps, first, dilation, stride)``, registered on first call.

    The result has the type of ``x`` and is contiguous. Raises ``ValueError`` for shapes that do not fit.
    """

    def forward(x: torch.Tensor, *attributes: int) -> torch.Tensor:
        stack = Stack(*attributes)
        stack.check(tuple(x.shape))
        y = x.new_zeros(stack.shape_out(tuple(x.shape)))
        clips, target = x.unflatten(0, (-1, stack.frames)), _by_tap(y, stack)
        for tap, offset in enumerate(stack.offsets):
            source, target_frames = _windows(stack, offset)
            target[:, target_frames, tap] = clips[:, source]
        return y

    def backward(gradient: torch.Tensor, x: torch.Tensor, *attributes: int) -> tuple[Any, ...]:
        stack = Stack(*attributes)
        by_tap, total = _by_tap(gradient, stack), gradient.new_zeros(x.shape)
        clips = total.unflatten(0, (-1, stack.frames))
        for tap, offset in enumerate(stack.offsets):
            source, target_frames = _windows(stack, offset)
            clips[:, source] += by_tap[:, target_frames, tap]
        return (total,)

    return register_torch_op(
        "frame_stack(Tensor x, SymInt frames, int taps, int first, int dilation, int stride) -> Tensor",
        forward,
        lambda x, *attributes: x.new_empty(Stack(*attributes).shape_out(tuple(x.shape))),
        backward,
    )


def _by_tap(y: torch.Tensor, stack: Stack) -> torch.Tensor:
    """``(N*T', taps*C, ...)`` as a view ``(N, T', taps, C, ...)``."""
    clips: torch.Tensor = y.unflatten(1, (stack.taps, -1)).unflatten(0, (-1, stack.frames_out))
    return clips


def _windows(stack: Stack, offset: int) -> tuple[slice, slice]:
    """The source frames of a tap, and the result frames that read them; empty if all are beyond the clip."""
    begin = max(0, -(offset // stack.stride))
    end = max(begin, min(stack.frames_out, frames_out(stack.frames - offset, stack.stride)))
    if begin == end:
        return slice(0, 0), slice(0, 0)
    first = begin * stack.stride + offset
    return slice(first, first + (end - begin - 1) * stack.stride + 1, stack.stride), slice(begin, end)


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    x, stack = node.inputs[0], from_node(node)
    shape, zero_frame = tuple(x.shape.numpy()), x.shape[0]
    clips = range(0, zero_frame, stack.frames)
    sources = [
        [zero_frame if frame is None else clip + frame for frame in row]
        for clip in clips
        for row in stack.sources()
    ]
    if any(zero_frame in row for row in sources):
        x = concat([x, build.zeros((1, *shape[1:]), x.dtype.numpy())], 0, build)
    windows_shape = (len(sources), stack.taps, *shape[1:])
    windows = build.node(
        "Gather", [x, build.constant(np.array(sources, np.int64))], windows_shape, x.type, axis=0
    )
    result_shape = stack.shape_out(shape)
    build.replace_anchor(build.node("Reshape", [windows, build.ints(result_shape)], result_shape, x.type))


def lower_step(node: ir.Node, build: GraphBuilder) -> None:
    (x, state), stack = node.inputs, from_node(node)
    channels, history = x.shape[1], concat([state, x], 1, build)
    starts = [tap * stack.dilation * channels for tap in range(stack.taps)]
    is_whole = stack.dilation == 1 and starts[-1] == state.shape[1]
    parts = [slice_of(history, 1, start, start + channels, build) for start in starts] if not is_whole else []
    y = concat(parts, 1, build) if parts else history
    build.replace_anchor(y, slice_of(history, 1, channels, history.shape[1], build))


OP = TemporalOp(
    name="FrameStack",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    lower_step=lower_step,
    example=Example(((8, 6, 3, 2),), {"frames": 4, "taps": 2, "first": -2, "dilation": 2, "stride": 1}),
    variants={"gather": "gather along time"},
)

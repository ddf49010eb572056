"""Temporal convolution: a channel-wise convolution over the frames of a clip.

``x`` is ``(N*T, C, ...)``, frames of a clip adjacent; ``weight`` is ``(C, k)`` with ``k`` odd, the first tap
for the oldest frame; ``bias`` is ``(C,)`` or absent. Frames beyond the clip are zeros. Centered, frame ``t``
reads frames ``t - (k-1)/2`` to ``t + (k-1)/2``; causal, frames ``t - (k-1)`` to ``t``.

Sources: Jiang et al., "STM: SpatioTemporal and Motion Encoding for Action Recognition", ICCV 2019, section
3.1 (channel-wise spatio-temporal module); Wang, She, Smolic, "ACTION-Net", CVPR 2021, section 3.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgevid.ops.moves import MOVES, SLICES, concat, shift_frames, slice_of
from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Cost, Example, StreamingStep, TemporalOp, input_shape, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

ONNX_FUNCTIONS = {
    # All windows of k frames, (N, T, k, C, H*W), times the taps. Gemm accepts an absent bias.
    "TemporalConv": """
        <domain: "edgevid", opset_import: ["" : 18]>
        TemporalConv <frames, causal> (x, weight, bias) => (y) {
            zero = Constant <value_int = 0> ()
            step = Constant <value_int = 1> ()
            one = Constant <value_ints = [1]> ()
            two = Constant <value_ints = [2]> ()
            infer = Constant <value_ints = [-1]> ()
            planes_shape = Constant <value_ints = [0, 0, -1]> ()
            frames_scalar = Constant <value_int: int = @frames> ()
            causal_scalar = Constant <value_int: int = @causal> ()
            clip_length = Reshape (frames_scalar, one)
            is_causal = Reshape (causal_scalar, one)
            taps = Shape <start = 1> (weight)
            reach = Sub (taps, one)
            sides = Sub (two, is_causal)
            before = Div (reach, sides)
            after = Sub (reach, before)
            both_sides = Concat <axis = 0> (before, after)
            shape = Shape (x)
            planes = Reshape (x, planes_shape)
            plane_shape = Shape <start = 1> (planes)
            clips_shape = Concat <axis = 0> (infer, clip_length, plane_shape)
            clips = Reshape (planes, clips_shape)
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, x)
            padded = Pad (clips, both_sides, fill, one)
            taps_scalar = Squeeze (taps)
            frame = Range (zero, frames_scalar, step)
            tap = Range (zero, taps_scalar, step)
            frame_column = Unsqueeze (frame, one)
            position = Add (frame_column, tap)
            windows = Gather <axis = 1> (padded, position)
            by_tap = Transpose <perm = [1, 0]> (weight)
            columns = Unsqueeze (by_tap, two)
            products = Mul (windows, columns)
            sum = ReduceSum <keepdims = 0> (products, two)
            row_shape = Concat <axis = 0> (one, taps)
            zero_row = Expand (fill, row_shape)
            bias_row = Gemm <transB = 1> (zero_row, weight, bias)
            bias_column = Unsqueeze (bias_row, two)
            total = Add (sum, bias_column)
            y = Reshape (total, shape)
        }
    """,
    "TemporalConvStep": """
        <domain: "edgevid", opset_import: ["" : 18]>
        TemporalConvStep (x, state, weight, bias) => (y, next_state) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            two = Constant <value_ints = [2]> ()
            infer = Constant <value_ints = [-1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            channels = Shape <start = 0, end = 1> (weight)
            taps = Shape <start = 1> (weight)
            history = Concat <axis = 1> (state, x)
            next_state = Slice (history, channels, end, one)
            window_shape = Concat <axis = 0> (zero, taps, channels, infer)
            window = Reshape (history, window_shape)
            by_tap = Transpose <perm = [1, 0]> (weight)
            columns = Unsqueeze (by_tap, two)
            products = Mul (window, columns)
            sum = ReduceSum <keepdims = 0> (products, one)
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, x)
            row_shape = Concat <axis = 0> (one, taps)
            zero_row = Expand (fill, row_shape)
            bias_row = Gemm <transB = 1> (zero_row, weight, bias)
            bias_column = Unsqueeze (bias_row, two)
            total = Add (sum, bias_column)
            shape = Shape (x)
            y = Reshape (total, shape)
        }
    """,
}
"""The function bodies of the op and its streaming step, in ONNX's text format; other runtimes inline them."""


@dataclass(frozen=True)
class Filters:
    """The attributes of a convolution and the shapes of its weights."""

    frames: int
    causal: bool
    weight_shape: tuple[int, ...]
    bias_shape: tuple[int, ...] | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape`` ``(N*T, C, ...)``."""
        if len(shape) < 2:
            raise ValueError(f"a temporal convolution takes (N*T, C, ...), not {len(shape)} dimensions")
        if self.frames < 1 or shape[0] % self.frames:
            raise ValueError(f"{shape[0]} frames are not clips of {self.frames}")
        if len(self.weight_shape) != 2 or self.weight_shape[0] != shape[1]:
            raise ValueError(f"weights {self.weight_shape} are not (C, k) for {shape[1]} channels")
        if self.taps % 2 == 0:
            raise ValueError(f"{self.taps} taps have no center: use an odd number")
        if self.bias_shape is not None and self.bias_shape != (shape[1],):
            raise ValueError(f"a bias {self.bias_shape} does not fit {shape[1]} channels")

    @property
    def taps(self) -> int:
        return self.weight_shape[1]

    @property
    def offsets(self) -> range:
        """The frame offset of each tap."""
        return offsets_of(self.taps, self.causal)


def offsets_of(taps: int, causal: bool) -> range:
    first = 1 - taps if causal else -(taps // 2)
    return range(first, first + taps)


def from_node(node: ir.Node) -> Filters:
    """The attributes of a ``TemporalConv`` or its step; raises ``ValueError`` for a missing one."""
    if node.op_type == "TemporalConvStep":
        return Filters(1, True, input_shape(node, 2), input_shape(node, 3))
    frames, causal = integers(node, "frames", "causal")
    return Filters(frames, bool(causal), input_shape(node, 1), input_shape(node, 2))


def cost(filters: Filters, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """One MAC per tap and element; each element and each weight is accessed once."""
    weights = prod(filters.weight_shape) + prod(filters.bias_shape or (0,))
    return Cost(macs=filters.taps * prod(shape), bytes_moved=(2 * prod(shape) + weights) * itemsize)


def streaming_step(filters: Filters, shape: tuple[int, ...]) -> StreamingStep | str | None:
    """One frame ``(N, C, ...)`` at a time: the state is the last ``k-1`` frames, ``(N, (k-1)*C, ...)``.

    They are concatenated along the channels, the oldest first. A filter of one tap has no state.
    """
    if filters.taps == 1:
        return None
    if not filters.causal:
        reach = filters.taps // 2
        return "it reads the next frame" if reach == 1 else f"it reads the next {reach} frames"
    return StreamingStep("TemporalConvStep", {}, (shape[0], (filters.taps - 1) * shape[1], *shape[2:]))


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.temporal_conv(x, weight, bias, frames, causal)``, registered on first call.

    The result has the type and memory format of ``x``, under autocast too: weights of another type are
    converted, and half precision is summed in float32. Raises ``ValueError`` for shapes that do not fit.
    """
    import torch

    def convolve(x: torch.Tensor, weight: torch.Tensor, frames: int, offsets: Any) -> torch.Tensor:
        clips = x.unflatten(0, (-1, frames))
        columns = weight.unflatten(0, (-1, *[1] * (x.ndim - 2))).movedim(-1, 0)
        y = torch.zeros_like(x)
        target = y.unflatten(0, (-1, frames))
        for column, offset in zip(columns, offsets):
            source, target_frames = windows(frames, offset)
            target[:, target_frames] += column * clips[:, source]
        return y

    def forward(x: Any, weight: Any, bias: Any, frames: int, causal: bool) -> torch.Tensor:
        bias_shape = None if bias is None else tuple(bias.shape)
        filters = Filters(frames, causal, tuple(weight.shape), bias_shape)
        filters.check(tuple(x.shape))
        precise = torch.promote_types(x.dtype, torch.float32)
        y = convolve(x.to(precise), weight.to(precise), frames, filters.offsets)
        if bias is not None:
            y += bias.to(precise).view(-1, *[1] * (x.ndim - 2))
        return y.to(x.dtype)

    def backward(gradient: Any, x: Any, weight: Any, bias: Any, frames: int, causal: bool) -> tuple[Any, ...]:
        precise = torch.promote_types(x.dtype, torch.float32)
        x_wide, wide, offsets = x.to(precise), gradient.to(precise), offsets_of(weight.shape[1], causal)
        for_x = convolve(wide, weight.to(precise), frames, [-offset for offset in offsets]).to(x.dtype)
        clips, gradients = x_wide.unflatten(0, (-1, frames)), wide.unflatten(0, (-1, frames))
        others = [axis for axis in range(clips.ndim) if axis != 2]
        for_taps = []
        for offset in offsets:
            source, target_frames = windows(frames, offset)
            for_taps.append((clips[:, source] * gradients[:, target_frames]).sum(others))
        for_weight = torch.stack(for_taps, dim=1).to(weight.dtype)
        return for_x, for_weight, None if bias is None else gradients.sum(others).to(bias.dtype)

    return register_torch_op(
        "temporal_conv(Tensor x, Tensor weight, Tensor? bias, SymInt frames, bool causal) -> Tensor",
        forward,
        lambda x, *_: torch.empty_like(x),
        backward,
        reads=(0, 1),
    )


def windows(frames: int, offset: int) -> tuple[slice, slice]:
    """The source frames of a tap with ``offset``, and the result frames that read them; empty if too far."""
    inside = max(frames - abs(offset), 0)
    late, early = slice(frames - inside, frames), slice(0, inside)
    return (late, early) if offset > 0 else (early, late)


TRANSPOSED = "transpose and Conv"
"""A grouped ``Conv`` between two transposes, instead of products and sums of shifted frames."""


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    x, filters = node.inputs[0], from_node(node)
    if variant == TRANSPOSED and node.inputs[1].const_value is not None:
        build.replace_anchor(_conv_over_time(x, filters, *node.inputs[1:], build=build))
        return
    variant = variant if variant in MOVES else SLICES
    # A tap that only reads beyond the clip contributes nothing.
    frames_by_tap = {
        tap: shift_frames(x, offset, filters.frames, build, variant) if offset else x
        for tap, offset in enumerate(filters.offsets)
        if abs(offset) < filters.frames
    }
    build.replace_anchor(_weighted_sum(frames_by_tap, *node.inputs[1:], build=build))


def _conv_over_time(
    x: ir.Value, filters: Filters, weight: ir.Value, *bias: ir.Value | None, build: GraphBuilder
) -> ir.Value:
    shape, taps = tuple(x.shape.numpy()), weight.shape[1]
    clips = (shape[0] // filters.frames, filters.frames, shape[1], prod(shape[2:]))
    planes = (clips[0], clips[2], clips[1], clips[3])
    y = build.node("Reshape", [x, build.ints(clips)], clips, x.type)
    y = build.node("Transpose", [y], planes, x.type, perm=[0, 2, 1, 3])
    kernel = build.constant(weight.const_value.numpy().reshape(shape[1], 1, taps, 1))
    inputs = [y, kernel, *(value for value in bias if value is not None)]
    pads = [-filters.offsets[0], 0, filters.offsets[-1], 0]
    y = build.node("Conv", inputs, planes, x.type, group=shape[1], pads=pads)
    y = build.node("Transpose", [y], clips, x.type, perm=[0, 2, 1, 3])
    return build.node("Reshape", [y, build.ints(shape)], shape, x.type)


def lower_step(node: ir.Node, build: GraphBuilder) -> None:
    x, state, *weights = node.inputs
    channels, length = x.shape[1], state.shape[1]
    frames_by_tap = {
        tap: slice_of(state, 1, start, start + channels, build)
        for tap, start in enumerate(range(0, length, channels))
    }
    frames_by_tap[len(frames_by_tap)] = x
    rest = [slice_of(state, 1, channels, length, build)] if channels < length else []
    build.replace_anchor(_weighted_sum(frames_by_tap, *weights, build=build), concat([*rest, x], 1, build))


def _weighted_sum(
    frames_by_tap: dict[int, ir.Value], weight: ir.Value, bias: ir.Value | None = None, *, build: GraphBuilder
) -> ir.Value:
    """The sum over taps of the tap's frames times its weights, plus the bias."""
    total = None
    for tap, frames in frames_by_tap.items():
        shape, type_ = frames.shape.numpy(), frames.type
        product = build.node("Mul", [frames, _column(weight, tap, len(shape), build)], shape, type_)
        total = product if total is None else build.node("Add", [total, product], shape, type_)
    if bias is None:
        return total
    return build.node("Add", [total, _column(bias, None, len(shape), build)], shape, type_)


def _column(weight: ir.Value, tap: int | None, rank: int, build: GraphBuilder) -> ir.Value:
    """One weight per channel of a tensor of ``rank`` axes, ``(C, 1, ...)``; the weights may be computed."""
    shape = (weight.shape[0], *[1] * (rank - 2))
    if weight.const_value is not None:
        array = weight.const_value.numpy()
        return build.constant((array if tap is None else array[:, tap]).reshape(shape))
    if tap is not None:
        weight = slice_of(weight, 1, tap, tap + 1, build)
    return build.node("Reshape", [weight, build.ints(shape)], shape, weight.type)


OP = TemporalOp(
    name="TemporalConv",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    lower_step=lower_step,
    example=Example(((8, 6, 3, 2), (6, 3), (6,)), {"frames": 4, "causal": 1}),
    variants={**{variant: f"products and sums, {variant}" for variant in MOVES}, TRANSPOSED: TRANSPOSED},
)

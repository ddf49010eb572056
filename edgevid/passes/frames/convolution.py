"""Conv3d(volume) -> Conv2d(FrameStack(frames)), or its equivalent for grouped convolutions.

A stack would separate the channels of a group, so a grouped convolution becomes a sum of one Conv2d per tap;
a channel-wise convolution over time becomes a ``TemporalConv``.
"""

from __future__ import annotations

import numpy as np

from edgevid.ops import DOMAIN
from edgevid.ops.frame_stack import Stack, frames_out
from edgevid.ops.temporal_conv import offsets_of
from edgevid.passes.build import Builder
from edgevid.passes.frames.values import TIME, Conversion, Frames, Operands, like, refuse_if


def _check(operands: Operands) -> None:
    weight, stride = operands.numbers(1), operands.ints("strides", (1, 1, 1))[0]
    refuse_if(weight is None, "its weights are computed")
    refuse_if(not operands.explicit_padding, "its padding is left to the runtime")
    frames, result = operands.shape[TIME], operands.result_shape[TIME]
    wrong_end = result != frames_out(frames, stride)
    refuse_if(wrong_end, f"{frames} frames become {result}: its padding is not half its filter")


def _build(operands: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,), weight, stack = frames, operands.numbers(1), _stack_of(operands, frames[0])
    if _groups(operands) == 1 or stack.taps == 1:
        return _over_space(operands, _stacked(x, stack, build), weight.swapaxes(1, 2), build)
    if _is_temporal(operands, stack):
        return _temporal(operands, x, stack, build)
    total = None
    for tap, offset in enumerate(stack.offsets):
        tap_frames = _stacked(x, Stack(stack.frames, 1, offset, 1, stack.stride), build)
        part = _over_space(operands, tap_frames, weight[:, :, tap], build, with_bias=tap == 0)
        if total is not None:
            both = [total.value, part.value]
            value = build.node("Add", both, part.value.shape.numpy(), part.value.type)
            part = Frames(value, part.clips, part.count)
        total = part
    return total


def _groups(operands: Operands) -> int:
    return operands.node.attributes.get_int("group", 1)


def _stack_of(operands: Operands, x: Frames) -> Stack:
    stride, dilation = operands.ints("strides", (1, 1, 1))[0], operands.ints("dilations", (1, 1, 1))[0]
    first, taps = -operands.ints("pads", (0,) * 6)[0], operands.numbers(1).shape[TIME]
    return Stack(x.count, taps, first, dilation, stride)


def _stacked(x: Frames, stack: Stack, build: Builder) -> Frames:
    """The frame stack of ``x``; ``x`` itself if each stack is a single frame."""
    if (stack.taps, stack.first, stack.stride) == (1, 0, 1):
        return x
    shape = stack.shape_out(tuple(x.value.shape.numpy()))
    attributes = {
        "frames": stack.frames, "taps": stack.taps, "first": stack.first,
        "dilation": stack.dilation, "stride": stack.stride,
    }  # fmt: skip
    value = build.node("FrameStack", [x.value], shape, x.value.type, domain=DOMAIN, **attributes)
    return Frames(value, x.clips, stack.frames_out)


def _over_space(
    operands: Operands, x: Frames, weight: np.ndarray, build: Builder, with_bias: bool = True
) -> Frames:
    """A 2-D convolution of stacked frames; ``weight`` is ``(O, ..., kh, kw)``, by tap, then by channel."""
    outputs, kernel = weight.shape[0], weight.shape[-2:]
    weight = np.ascontiguousarray(weight).reshape(outputs, -1, *kernel)
    _, top, left, _, bottom, right = operands.ints("pads", (0,) * 6)
    bias = operands.node.inputs[2:] if with_bias else []
    return like(
        x, operands, [x.value, build.constant(weight), *bias], build,
        kernel_shape=kernel, pads=[top, left, bottom, right], group=_groups(operands),
        strides=operands.ints("strides", (1, 1, 1))[1:], dilations=operands.ints("dilations", (1, 1, 1))[1:],
    )  # fmt: skip


def _is_temporal(operands: Operands, stack: Stack) -> bool:
    """Whether it is a channel-wise convolution over time only, as a ``TemporalConv`` is."""
    outputs, inputs, taps, *kernel = operands.numbers(1).shape
    by_channel = inputs == 1 and outputs == _groups(operands)
    is_pointwise = kernel == [1, 1] and operands.ints("strides", (1, 1, 1)) == (1, 1, 1)
    is_unpadded = operands.ints("pads", (0,) * 6)[1:3] == operands.ints("pads", (0,) * 6)[4:] == (0, 0)
    return by_channel and is_pointwise and is_unpadded and taps % 2 == 1 and _is_causal(stack) is not None


def _is_causal(stack: Stack) -> bool | None:
    """Whether the taps are those of a causal ``TemporalConv``; False: of a centered one; None: of neither."""
    places = {causal: offsets_of(stack.taps, causal) for causal in (False, True)}
    return next((causal for causal, offsets in places.items() if offsets == stack.offsets), None)


def _temporal(operands: Operands, x: Frames, stack: Stack, build: Builder) -> Frames:
    weight = np.ascontiguousarray(operands.numbers(1)[:, 0, :, 0, 0])
    inputs = [x.value, build.constant(weight), *operands.node.inputs[2:]]
    value = build.node(
        "TemporalConv", inputs, x.value.shape.numpy(), x.value.type,
        domain=DOMAIN, frames=stack.frames, causal=int(_is_causal(stack)),
    )  # fmt: skip
    return Frames(value, x.clips, x.count)


CONVOLUTION = Conversion(_check, _build)

"""Conv3d(volume) -> Conv2d(FrameStack(frames)), or what does the same where channels are convolved in groups.

Groups would be torn apart by a stack, so each tap is a convolution of its own then, and their results are
added; a convolution of single channels over time alone is a ``TemporalConv``.
"""

from __future__ import annotations

import numpy as np

from edgevid.ops import DOMAIN
from edgevid.ops.frame_stack import Stack, frames_out
from edgevid.ops.temporal_conv import offsets_of
from edgevid.passes.build import Builder
from edgevid.passes.frames.values import TIME, Form, Frames, Operands, like, refuse_if


def _check(given: Operands) -> None:
    weight, stride = given.numbers(1), given.ints("strides", (1, 1, 1))[0]
    refuse_if(weight is None, "its weights are computed")
    refuse_if(not given.explicit_padding, "its padding is left to the runtime")
    frames, result = given.shape[TIME], given.result_shape[TIME]
    wrong_end = result != frames_out(frames, stride)
    refuse_if(wrong_end, f"of {frames} frames it makes {result}: its padding is not half its filter")


def _build(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,), weight, stack = frames, given.numbers(1), _stack_of(given, frames[0])
    if _groups(given) == 1 or stack.taps == 1:
        return _over_space(given, _stacked(x, stack, build), weight.swapaxes(1, 2), build)
    if _is_temporal(given, stack):
        return _temporal(given, x, stack, build)
    total = None
    for tap, offset in enumerate(stack.offsets):
        seen = _stacked(x, Stack(stack.frames, 1, offset, 1, stack.stride), build)
        part = _over_space(given, seen, weight[:, :, tap], build, with_bias=tap == 0)
        if total is not None:
            both = [total.value, part.value]
            value = build.node("Add", both, part.value.shape.numpy(), part.value.type)
            part = Frames(value, part.clips, part.count)
        total = part
    return total


def _groups(given: Operands) -> int:
    return given.node.attributes.get_int("group", 1)


def _stack_of(given: Operands, x: Frames) -> Stack:
    stride, dilation = given.ints("strides", (1, 1, 1))[0], given.ints("dilations", (1, 1, 1))[0]
    first, taps = -given.ints("pads", (0,) * 6)[0], given.numbers(1).shape[TIME]
    return Stack(x.count, taps, first, dilation, stride)


def _stacked(x: Frames, stack: Stack, build: Builder) -> Frames:
    """``x`` itself where the stack is of each frame alone."""
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
    given: Operands, x: Frames, weight: np.ndarray, build: Builder, with_bias: bool = True
) -> Frames:
    """A 2-D convolution of what is stacked; ``weight`` is ``(O, ..., kh, kw)``, by tap, then by channel."""
    outputs, kernel = weight.shape[0], weight.shape[-2:]
    weight = np.ascontiguousarray(weight).reshape(outputs, -1, *kernel)
    _, top, left, _, bottom, right = given.ints("pads", (0,) * 6)
    bias = given.node.inputs[2:] if with_bias else []
    return like(
        x, given, [x.value, build.constant(weight), *bias], build,
        kernel_shape=kernel, pads=[top, left, bottom, right], group=_groups(given),
        strides=given.ints("strides", (1, 1, 1))[1:], dilations=given.ints("dilations", (1, 1, 1))[1:],
    )  # fmt: skip


def _is_temporal(given: Operands, stack: Stack) -> bool:
    """Whether it convolves each channel by itself, over time alone, as a ``TemporalConv`` can."""
    outputs, inputs, taps, *kernel = given.numbers(1).shape
    by_channel = inputs == 1 and outputs == _groups(given)
    alone = kernel == [1, 1] and given.ints("strides", (1, 1, 1)) == (1, 1, 1)
    inside = given.ints("pads", (0,) * 6)[1:3] == given.ints("pads", (0,) * 6)[4:] == (0, 0)
    return by_channel and alone and inside and taps % 2 == 1 and _is_causal(stack) is not None


def _is_causal(stack: Stack) -> bool | None:
    """Whether the taps are those of a causal ``TemporalConv`` or of a centred one; None if of neither."""
    places = {causal: offsets_of(stack.taps, causal) for causal in (False, True)}
    return next((causal for causal, offsets in places.items() if offsets == stack.offsets), None)


def _temporal(given: Operands, x: Frames, stack: Stack, build: Builder) -> Frames:
    weight = np.ascontiguousarray(given.numbers(1)[:, 0, :, 0, 0])
    inputs = [x.value, build.constant(weight), *given.node.inputs[2:]]
    value = build.node(
        "TemporalConv", inputs, x.value.shape.numpy(), x.value.type,
        domain=DOMAIN, frames=stack.frames, causal=int(_is_causal(stack)),
    )  # fmt: skip
    return Frames(value, x.clips, x.count)


CONVOLUTION = Form(_check, _build)

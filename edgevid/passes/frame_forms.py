"""For each operator on volumes (N, C, T, H, W) the same on frames (N*T, C, H, W), where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid.ops import DOMAIN
from edgevid.ops.frame_stack import Stack, frames_out
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues

TIME = 2
"""The axis of a volume that counts frames."""


class NoFrameFormError(Exception):
    """The node can only be computed on volumes; the message says why."""


@dataclass(frozen=True)
class Frames:
    """A volume ``(N, C, T, H, W)`` as ``value``, ``(N*T, C, H, W)``: ``clips`` is N, ``count`` T."""

    value: ir.Value
    clips: int
    count: int


@dataclass(frozen=True)
class Operands:
    node: ir.Node
    constants: ConstantValues

    def numbers(self, position: int) -> np.ndarray | None:
        """The constant that is read there; None if it is left out or computed."""
        inputs = self.node.inputs
        value = inputs[position] if position < len(inputs) else None
        return None if value is None else self.constants.of(value)

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.node.attributes.get_ints(name, default))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the volume that is read first."""
        return tuple(self.node.inputs[0].shape.numpy())

    @property
    def result_shape(self) -> tuple[int, ...]:
        return tuple(self.node.outputs[0].shape.numpy())

    @property
    def explicit_padding(self) -> bool:
        return self.node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


@dataclass(frozen=True)
class Form:
    """``check`` raises ``NoFrameFormError``; ``volumes`` are the inputs that ``build`` gets as frames."""

    check: Callable[[Operands], None]
    build: Callable[[Operands, list[Frames], Builder], Frames]
    volumes: Callable[[Operands], list[ir.Value]] = lambda given: [given.node.inputs[0]]


def _refuse_if(wrong: bool, why: str) -> None:
    if wrong:
        raise NoFrameFormError(why)


def _like(frames: Frames, given: Operands, inputs: list[ir.Value], build: Builder, **attributes) -> Frames:
    """The node's own operator on frames; it gives as many frames as it reads."""
    _, channels, _, *pixels = given.result_shape
    shape = (frames.clips * frames.count, channels, *pixels)
    value = build.node(given.node.op_type, inputs, shape, given.node.outputs[0].type, **attributes)
    return Frames(value, frames.clips, frames.count)


# Convolutions


def _check_conv(given: Operands) -> None:
    weight, stride = given.numbers(1), given.ints("strides", (1, 1, 1))[0]
    _refuse_if(weight is None, "its weights are computed")
    _refuse_if(not given.explicit_padding, "its padding is left to the runtime")
    taps, groups = weight.shape[TIME], given.node.attributes.get_int("group", 1)
    _refuse_if(taps > 1 and groups > 1, "it convolves groups of channels over time")
    frames, result = given.shape[TIME], given.result_shape[TIME]
    _refuse_if(
        result != frames_out(frames, stride),
        f"of {frames} frames it makes {result}: its padding is not half its filter",
    )


def _build_conv(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,), node, weight = frames, given.node, given.numbers(1)
    outputs, inputs, taps, *kernel = weight.shape
    stride, *strides = given.ints("strides", (1, 1, 1))
    dilation, *dilations = given.ints("dilations", (1, 1, 1))
    first, top, left, _, bottom, right = given.ints("pads", (0,) * 6)
    if taps > 1 or stride > 1:
        x = _stack(x, Stack(x.count, taps, -first, dilation, stride), build)
    of_stack = np.ascontiguousarray(weight.swapaxes(1, 2)).reshape(outputs, taps * inputs, *kernel)
    return _like(
        x, given, [x.value, build.constant(of_stack), *node.inputs[2:]], build,
        kernel_shape=kernel, strides=strides, dilations=dilations, pads=[top, left, bottom, right],
        group=node.attributes.get_int("group", 1),
    )  # fmt: skip


def _stack(x: Frames, stack: Stack, build: Builder) -> Frames:
    shape = stack.shape_out(tuple(x.value.shape.numpy()))
    attributes = {
        "frames": stack.frames, "taps": stack.taps, "first": stack.first,
        "dilation": stack.dilation, "stride": stack.stride,
    }  # fmt: skip
    value = build.node("FrameStack", [x.value], shape, x.value.type, domain=DOMAIN, **attributes)
    return Frames(value, x.clips, stack.frames_out)


# Pools


def _check_pool(given: Operands) -> None:
    frames, stride = given.ints("kernel_shape", ())[0], given.ints("strides", (1, 1, 1))[0]
    pads, dilations = given.ints("pads", (0,) * 6), given.ints("dilations", (1, 1, 1))
    rounds_up = given.node.attributes.get_int("ceil_mode", 0) != 0
    _refuse_if(not given.explicit_padding or rounds_up, "its padding is left to the runtime, or it rounds up")
    _refuse_if(
        dilations[0] != 1 or pads[0] or pads[3] or stride != frames,
        "its windows over time overlap, or reach beyond the clip",
    )
    _refuse_if(frames > 1 and given.node.op_type != "MaxPool", "it averages over time")
    _refuse_if(given.shape[TIME] % frames > 0, f"{given.shape[TIME]} frames are not windows of {frames}")
    _refuse_if(len(given.node.outputs) > 1, "it tells where the maximum was")


def _build_pool(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,) = frames
    together, *kernel = given.ints("kernel_shape", ())
    _, top, left, _, bottom, right = given.ints("pads", (0,) * 6)
    attributes = {
        "kernel_shape": kernel,
        "strides": given.ints("strides", (1, 1, 1))[1:],
        "pads": [top, left, bottom, right],
    }
    if given.node.op_type == "MaxPool":
        attributes["dilations"] = given.ints("dilations", (1, 1, 1))[1:]
    else:
        attributes["count_include_pad"] = given.node.attributes.get_int("count_include_pad", 0)
    if kernel != [1, 1]:
        x = _like(x, given, [x.value], build, **attributes)
    return x if together == 1 else _maximum(x, together, build)


def _maximum(x: Frames, together: int, build: Builder) -> Frames:
    """Of each ``together`` frames, which lie behind each other: as channels they are slices of one tensor."""
    count, channels, *pixels = x.value.shape.numpy()
    shape = (count // together, together * channels, *pixels)
    stacked = build.node("Reshape", [x.value, build.ints(shape)], shape, x.value.type)
    one = (count // together, channels, *pixels)
    parts = [
        build.node(
            "Slice",
            [stacked, build.ints([start]), build.ints([start + channels]), build.ints([1])],
            one,
            x.value.type,
        )
        for start in range(0, together * channels, channels)
    ]
    return Frames(build.node("Max", parts, one, x.value.type), x.clips, x.count // together)


# What computes each element, or each channel, by itself


def _no_check(given: Operands) -> None:
    pass


def _build_same(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,) = frames
    attributes = {name: attribute.value for name, attribute in given.node.attributes.items()}
    return _like(x, given, [x.value, *given.node.inputs[1:]], build, **attributes)


def _check_together(given: Operands) -> None:
    for position, value in enumerate(given.node.inputs):
        if _is_like_result(value, given):
            continue
        array = given.numbers(position)
        _refuse_if(array is None or not _is_by_channel(array.shape), "it combines volumes of other shapes")


def _is_like_result(value: ir.Value, given: Operands) -> bool:
    return value.shape is not None and value.shape == given.node.outputs[0].shape


def _is_by_channel(shape: tuple[int, ...]) -> bool:
    """Whether a constant of this shape, against a volume, differs by channels at most."""
    return all(size == 1 for axis, size in enumerate(reversed(shape)) if axis != 3) and len(shape) <= 5


def _volumes_together(given: Operands) -> list[ir.Value]:
    return [value for value in given.node.inputs if _is_like_result(value, given)]


def _build_together(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    left, inputs = list(frames), []
    for position, value in enumerate(given.node.inputs):
        if _is_like_result(value, given):
            inputs.append(left.pop(0).value)
        else:
            array = given.numbers(position)
            inputs.append(build.constant(array.reshape(-1, 1, 1) if array.ndim > 1 else array))
    return _like(frames[0], given, inputs, build)


def _check_concat(given: Operands) -> None:
    _refuse_if(given.node.attributes["axis"].as_int() not in (1, -4), "it joins volumes along another axis")


def _build_concat(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    return _like(frames[0], given, [part.value for part in frames], build, axis=1)


# Choices of frames


def _chosen_frames(given: Operands) -> list[int]:
    """The frames that a Gather or Slice takes of each clip."""
    frames = list(range(given.shape[TIME]))
    if given.node.op_type == "Gather":
        indices = given.numbers(1)
        along_time = given.node.attributes.get_int("axis", 0) in (TIME, TIME - 5)
        _refuse_if(
            not along_time or indices is None or indices.ndim != 1, "it chooses something else than frames"
        )
        return [frames[int(index)] for index in indices]
    bounds = [given.numbers(position) for position in range(1, len(given.node.inputs))]
    _refuse_if(
        len(bounds) < 3 or any(array is None or array.size != 1 for array in bounds), "it cuts two axes"
    )
    start, end, axis, step = (int(array.item()) for array in [*bounds, np.ones(1)][:4])
    _refuse_if(axis not in (TIME, TIME - 5), "it cuts something else than time")
    return frames[start:end:step]


def _build_chosen(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,), chosen = frames, _chosen_frames(given)
    rows = [clip * x.count + frame for clip in range(x.clips) for frame in chosen]
    shape = (len(rows), *x.value.shape.numpy()[1:])
    value = build.node("Gather", [x.value, build.ints(rows)], shape, x.value.type, axis=0)
    return Frames(value, x.clips, len(chosen))


_SAME = Form(_no_check, _build_same)
_TOGETHER = Form(_check_together, _build_together, _volumes_together)
_POOL = Form(_check_pool, _build_pool)
_CHOICE = Form(lambda given: (_chosen_frames(given), None)[1], _build_chosen)

FORMS: dict[str, Form] = {
    "Conv": Form(_check_conv, _build_conv),
    "BatchNormalization": _SAME,
    "MaxPool": _POOL,
    "AveragePool": _POOL,
    "Concat": Form(_check_concat, _build_concat, lambda given: list(given.node.inputs)),
    "Gather": _CHOICE,
    "Slice": _CHOICE,
    **dict.fromkeys(("Clip", "Elu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Relu"), _SAME),
    **dict.fromkeys(("Sigmoid", "Softplus", "Tanh"), _SAME),
    **dict.fromkeys(("Add", "Div", "Max", "Min", "Mul", "Sub"), _TOGETHER),
}
"""Operator to its form on frames. To add one, write its check and its build above and name it here."""

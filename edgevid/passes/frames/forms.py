"""For each operator on volumes (N, C, T, H, W) the same on frames (N*T, C, H, W), where there is one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.frames.convolution import CONVOLUTION
from edgevid.passes.frames.values import TIME, Form, Frames, Operands, like, refuse_if

# Pools


def _check_pool(given: Operands) -> None:
    frames, stride = given.ints("kernel_shape", ())[0], given.ints("strides", (1, 1, 1))[0]
    pads, dilations = given.ints("pads", (0,) * 6), given.ints("dilations", (1, 1, 1))
    rounds_up = given.node.attributes.get_int("ceil_mode", 0) != 0
    refuse_if(not given.explicit_padding or rounds_up, "its padding is left to the runtime, or it rounds up")
    refuse_if(
        dilations[0] != 1 or pads[0] or pads[3] or stride != frames,
        "its windows over time overlap, or reach beyond the clip",
    )
    refuse_if(frames > 1 and given.node.op_type != "MaxPool", "it averages over time")
    refuse_if(given.shape[TIME] % frames > 0, f"{given.shape[TIME]} frames are not windows of {frames}")
    refuse_if(len(given.node.outputs) > 1, "it tells where the maximum was")


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
        x = like(x, given, [x.value], build, **attributes)
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
    return like(x, given, [x.value, *given.node.inputs[1:]], build, **attributes)


def _check_together(given: Operands) -> None:
    for position, value in enumerate(given.node.inputs):
        if _is_like_result(value, given):
            continue
        array = given.numbers(position)
        refuse_if(array is None or not _is_by_channel(array.shape), "it combines volumes of other shapes")


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
    return like(frames[0], given, inputs, build)


def _check_concat(given: Operands) -> None:
    refuse_if(given.node.attributes["axis"].as_int() not in (1, -4), "it joins volumes along another axis")


def _build_concat(given: Operands, frames: list[Frames], build: Builder) -> Frames:
    return like(frames[0], given, [part.value for part in frames], build, axis=1)


# Choices of frames


def _chosen_frames(given: Operands) -> list[int]:
    """The frames that a Gather or Slice takes of each clip."""
    frames = list(range(given.shape[TIME]))
    if given.node.op_type == "Gather":
        indices = given.numbers(1)
        along_time = given.node.attributes.get_int("axis", 0) in (TIME, TIME - 5)
        refuse_if(
            not along_time or indices is None or indices.ndim != 1, "it chooses something else than frames"
        )
        return [frames[int(index)] for index in indices]
    bounds = [given.numbers(position) for position in range(1, len(given.node.inputs))]
    refuse_if(
        len(bounds) < 3 or any(array is None or array.size != 1 for array in bounds), "it cuts two axes"
    )
    start, end, axis, step = (int(array.item()) for array in [*bounds, np.ones(1)][:4])
    refuse_if(axis not in (TIME, TIME - 5), "it cuts something else than time")
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
    "Conv": CONVOLUTION,
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

"""The conversions of operators on volumes (N, C, T, H, W) to operators on frames (N*T, C, H, W)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.frames.convolution import CONVOLUTION
from edgevid.passes.frames.values import TIME, Conversion, Frames, Operands, like, refuse_if

# Pools


def _check_pool(operands: Operands) -> None:
    frames, stride = operands.ints("kernel_shape", ())[0], operands.ints("strides", (1, 1, 1))[0]
    pads, dilations = operands.ints("pads", (0,) * 6), operands.ints("dilations", (1, 1, 1))
    rounds_up = operands.node.attributes.get_int("ceil_mode", 0) != 0
    refuse_if(
        not operands.explicit_padding or rounds_up, "its padding is left to the runtime, or it rounds up"
    )
    refuse_if(
        dilations[0] != 1 or pads[0] or pads[3] or stride != frames,
        "its windows over time overlap, or reach beyond the clip",
    )
    refuse_if(frames > 1 and operands.node.op_type != "MaxPool", "it averages over time")
    refuse_if(operands.shape[TIME] % frames > 0, f"{operands.shape[TIME]} frames are not windows of {frames}")
    refuse_if(len(operands.node.outputs) > 1, "it returns the indices of the maxima")


def _build_pool(operands: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,) = frames
    window, *kernel = operands.ints("kernel_shape", ())
    _, top, left, _, bottom, right = operands.ints("pads", (0,) * 6)
    attributes = {
        "kernel_shape": kernel,
        "strides": operands.ints("strides", (1, 1, 1))[1:],
        "pads": [top, left, bottom, right],
    }
    if operands.node.op_type == "MaxPool":
        attributes["dilations"] = operands.ints("dilations", (1, 1, 1))[1:]
    else:
        attributes["count_include_pad"] = operands.node.attributes.get_int("count_include_pad", 0)
    if kernel != [1, 1]:
        x = like(x, operands, [x.value], build, **attributes)
    return x if window == 1 else _maximum(x, window, build)


def _maximum(x: Frames, window: int, build: Builder) -> Frames:
    """The maximum over each ``window`` adjacent frames: as channels, they are slices of one tensor."""
    count, channels, *pixels = x.value.shape.numpy()
    shape = (count // window, window * channels, *pixels)
    stacked = build.node("Reshape", [x.value, build.ints(shape)], shape, x.value.type)
    part_shape = (count // window, channels, *pixels)
    parts = [
        build.node(
            "Slice",
            [stacked, build.ints([start]), build.ints([start + channels]), build.ints([1])],
            part_shape,
            x.value.type,
        )
        for start in range(0, window * channels, channels)
    ]
    return Frames(build.node("Max", parts, part_shape, x.value.type), x.clips, x.count // window)


# Elementwise and per-channel operators


def _no_check(operands: Operands) -> None:
    pass


def _build_unary(operands: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,) = frames
    attributes = {name: attribute.value for name, attribute in operands.node.attributes.items()}
    return like(x, operands, [x.value, *operands.node.inputs[1:]], build, **attributes)


def _check_elementwise(operands: Operands) -> None:
    for position, value in enumerate(operands.node.inputs):
        if _is_like_result(value, operands):
            continue
        array = operands.numbers(position)
        refuse_if(array is None or not _is_by_channel(array.shape), "it combines volumes of other shapes")


def _is_like_result(value: ir.Value, operands: Operands) -> bool:
    return value.shape is not None and value.shape == operands.node.outputs[0].shape


def _is_by_channel(shape: tuple[int, ...]) -> bool:
    """Whether a constant of this shape, broadcast to a volume, varies only along the channels."""
    return all(size == 1 for axis, size in enumerate(reversed(shape)) if axis != 3) and len(shape) <= 5


def _elementwise_volumes(operands: Operands) -> list[ir.Value]:
    return [value for value in operands.node.inputs if _is_like_result(value, operands)]


def _build_elementwise(operands: Operands, frames: list[Frames], build: Builder) -> Frames:
    remaining, inputs = list(frames), []
    for position, value in enumerate(operands.node.inputs):
        if _is_like_result(value, operands):
            inputs.append(remaining.pop(0).value)
        else:
            array = operands.numbers(position)
            inputs.append(build.constant(array.reshape(-1, 1, 1) if array.ndim > 1 else array))
    return like(frames[0], operands, inputs, build)


def _check_concat(operands: Operands) -> None:
    refuse_if(operands.node.attributes["axis"].as_int() not in (1, -4), "it joins volumes along another axis")


def _build_concat(operands: Operands, frames: list[Frames], build: Builder) -> Frames:
    return like(frames[0], operands, [part.value for part in frames], build, axis=1)


# Selections of frames


def _frame_indices(operands: Operands) -> list[int]:
    """The frames that a Gather or Slice selects from each clip."""
    frames = list(range(operands.shape[TIME]))
    if operands.node.op_type == "Gather":
        indices = operands.numbers(1)
        along_time = operands.node.attributes.get_int("axis", 0) in (TIME, TIME - 5)
        refuse_if(not along_time or indices is None or indices.ndim != 1, "it does not select frames")
        return [frames[int(index)] for index in indices]
    bounds = [operands.numbers(position) for position in range(1, len(operands.node.inputs))]
    refuse_if(
        len(bounds) < 3 or any(array is None or array.size != 1 for array in bounds), "it slices several axes"
    )
    start, end, axis, step = (int(array.item()) for array in [*bounds, np.ones(1)][:4])
    refuse_if(axis not in (TIME, TIME - 5), "it slices another axis than time")
    return frames[start:end:step]


def _check_selection(operands: Operands) -> None:
    _frame_indices(operands)


def _build_selection(operands: Operands, frames: list[Frames], build: Builder) -> Frames:
    (x,), indices = frames, _frame_indices(operands)
    rows = [clip * x.count + frame for clip in range(x.clips) for frame in indices]
    shape = (len(rows), *x.value.shape.numpy()[1:])
    value = build.node("Gather", [x.value, build.ints(rows)], shape, x.value.type, axis=0)
    return Frames(value, x.clips, len(indices))


_UNARY = Conversion(_no_check, _build_unary)
_ELEMENTWISE = Conversion(_check_elementwise, _build_elementwise, _elementwise_volumes)
_POOL = Conversion(_check_pool, _build_pool)
_SELECTION = Conversion(_check_selection, _build_selection)

CONVERSIONS: dict[str, Conversion] = {
    "Conv": CONVOLUTION,
    "BatchNormalization": _UNARY,
    "MaxPool": _POOL,
    "AveragePool": _POOL,
    "Concat": Conversion(_check_concat, _build_concat, lambda operands: list(operands.node.inputs)),
    "Gather": _SELECTION,
    "Slice": _SELECTION,
    **dict.fromkeys(("Clip", "Elu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Relu"), _UNARY),
    **dict.fromkeys(("Sigmoid", "Softplus", "Tanh"), _UNARY),
    **dict.fromkeys(("Add", "Div", "Max", "Min", "Mul", "Sub"), _ELEMENTWISE),
}
"""Conversions by operator. To add one, write its check and its build above and list it here."""

"""Write a group of nodes around a convolution as one of edgevid's functions, with packed weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgevid.backends.tvm.importer.groups import Group, attribute
from edgevid.backends.tvm.importer.importer import Importer, constant, shape_of
from edgevid.backends.tvm.importer.sources import SOURCES
from edgevid.ops import temporal_conv, temporal_shift

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.kernels.common.tvm.conv import Conv
    from edgevid.kernels.common.tvm.emit import Epilogue

FEW_CHANNELS = 4
"""Up to this many channels stay first: a transposition would cost more than it gains."""


def write_group(importer: Importer, group: Group) -> None:
    """Emit the function of one group, and the next state of a streaming step that it absorbs."""
    if group.conv.op_type == "TemporalConv":
        _write_temporal_conv(importer, group)
        return
    conv = _describe(group)
    node, machine = group.conv, importer.machine
    weight, bias = constant(node.inputs[1]), _bias(node, 2, conv.out_channels)
    x = group.temporal_op.inputs[0] if group.temporal_op else node.inputs[0]
    if conv.channels <= FEW_CHANNELS and not importer.is_last(x) and not _is_depthwise(conv):
        conv = replace(conv, planar=True)
    arguments = [importer.first(x) if conv.planar else importer.last(x)]
    if conv.state_channels:
        arguments.append(importer.first(group.temporal_op.inputs[1]))
    if _is_depthwise(conv):
        from edgevid.kernels.common.tvm.depthwise import depthwise_function, pack_depthwise_weight

        arguments += [pack_depthwise_weight(weight), bias]
        key, make = _Depthwise(conv), lambda name: depthwise_function(name, conv, machine)
    else:
        from edgevid.kernels.common.tvm.conv import conv_function, pack_weight

        arguments += [pack_weight(weight, conv, machine), bias]
        key, make = conv, lambda name: conv_function(name, conv, machine)
    if group.residual is not None:
        arguments.append(importer.last(group.residual))
    importer.set(group.last.outputs[0], importer.call(key, make, arguments, conv.y_shape), last=True)
    if group.temporal_op is not None:
        importer.op_kernels[group.temporal_op] = f"{group.temporal_op.op_type} (inside the convolution, TVM)"


def write_product(importer: Importer, x: ir.Value, weight: np.ndarray, bias: np.ndarray, y: ir.Value) -> None:
    """``y = x weight' + bias`` along the last axis, ``weight`` being ``(O, C)``, as a 1x1 convolution."""
    from tvm import relax

    from edgevid.kernels.common.tvm.conv import Conv, conv_function, pack_weight

    *rows, channels = shape_of(x)
    conv, machine = Conv((int(np.prod(rows)), 1, 1, channels), len(weight)), importer.machine
    packed = pack_weight(np.ascontiguousarray(weight)[:, :, None, None], conv, machine)
    flat = importer.emit(relax.op.reshape(importer.first(x), conv.x_shape))
    product = importer.call(
        conv, lambda name: conv_function(name, conv, machine), [flat, packed, bias], conv.y_shape
    )
    importer.set(y, relax.op.reshape(importer.emit(product), (*rows, len(weight))))


def write_next_state(importer: Importer, step: ir.Node) -> None:
    """The next state of a ``TemporalShiftStep`` that a convolution absorbs: the frame's first channels."""
    from tvm import relax

    x, (_, next_state) = step.inputs[0], step.outputs
    fold = temporal_shift.from_node(step).fold
    if importer.is_last(x):
        channels_last = importer.emit(relax.op.strided_slice(importer.last(x), [3], [0], [fold]))
        importer.set(next_state, relax.op.permute_dims(channels_last, (0, 3, 1, 2)))
    else:
        importer.set(next_state, relax.op.strided_slice(importer.first(x), [1], [0], [fold]))


@dataclass(frozen=True)
class _Depthwise:
    """Key of a depthwise convolution's function, unlike that of a convolution with groups of any size."""

    conv: Conv


@dataclass(frozen=True)
class _Temporal:
    shape: tuple[int, ...]
    frames: int
    offsets: tuple[int, ...]
    epilogue: Epilogue


def _write_temporal_conv(importer: Importer, group: Group) -> None:
    from edgevid.kernels.temporal_conv.tvm import temporal_conv_function

    node, machine = group.conv, importer.machine
    filters = temporal_conv.from_node(node)
    x, weight = node.inputs[0], constant(node.inputs[1])
    images, channels, height, width = shape_of(x)
    key = _Temporal(
        (images, height, width, channels), filters.frames, tuple(filters.offsets), _epilogue(group)
    )
    arguments = [
        importer.last(x), np.ascontiguousarray(weight.reshape(channels, -1).T), _bias(node, 2, channels)
    ]  # fmt: skip
    if group.residual is not None:
        arguments.append(importer.last(group.residual))

    def make(name: str):
        return temporal_conv_function(name, key.shape, key.frames, key.offsets, machine, key.epilogue)

    importer.set(group.last.outputs[0], importer.call(key, make, arguments, key.shape), last=True)
    importer.op_kernels[node] = "TemporalConv (TVM)"


def _describe(group: Group) -> Conv:
    """The parameters of a ``Conv`` node and its group for edgevid's functions."""
    from edgevid.kernels.common.tvm.conv import Conv, Frames

    node = group.conv
    outputs, _, *kernel = shape_of(node.inputs[1])
    x = group.temporal_op.inputs[0] if group.temporal_op else node.inputs[0]
    images, channels, height, width = shape_of(x)
    op = group.temporal_op
    sources, frames = ((), Frames()) if op is None else SOURCES[op.op_type](op, channels)
    return Conv(
        x_shape=(images, height, width, channels),
        out_channels=outputs,
        kernel=tuple(kernel),
        strides=tuple(attribute(node.attributes, "strides", (1, 1))),
        padding=tuple(attribute(node.attributes, "pads", (0, 0, 0, 0))),
        dilations=tuple(attribute(node.attributes, "dilations", (1, 1))),
        groups=attribute(node.attributes, "group", 1),
        sources=sources,
        frames=frames,
        epilogue=_epilogue(group),
    )


def _epilogue(group: Group) -> Epilogue:
    from edgevid.kernels.common.tvm.emit import Epilogue

    return Epilogue(group.residual is not None, group.activation)


def _is_depthwise(conv: Conv) -> bool:
    return conv.groups == conv.channels == conv.out_channels and conv.groups > 1


def _bias(node: ir.Node, index: int, channels: int) -> np.ndarray:
    value = node.inputs[index] if index < len(node.inputs) else None
    return np.zeros(channels, np.float32) if value is None else constant(value)

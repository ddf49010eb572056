"""Depthwise convolution, channels last, with one filter per channel.

``x`` is ``(N, H, W, C)``. A tile is some neighboring pixels of a row times a vector of channels, accumulated
in registers; a pixel under several taps of a row is loaded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm.tirx.script.builder import ir as T

from edgevid.kernels.common.tvm.conv import Conv
from edgevid.kernels.common.tvm.emit import argument, both, function, registers, vector, when
from edgevid.kernels.common.tvm.machine import Machine
from edgevid.kernels.common.tvm.tiles import Run, largest_divisor, runs

MAX_PIXELS = 8


def pack_depthwise_weight(weight: np.ndarray) -> np.ndarray:
    """``(C, 1, kh, kw)`` as ``(kh, kw, C)``."""
    return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))


def depthwise_function(name: str, conv: Conv, machine: Machine):
    """The TIR function ``name(x, weight, bias, [residual,] y)`` of a ``conv`` with one channel per group."""
    images, rows, columns, channels = conv.y_shape
    lanes = machine.vector(channels)
    size = _pixels(columns, machine)
    row_runs = runs(
        columns, size, conv.x_shape[2], conv.kernel[1], conv.strides[1], conv.padding[1], conv.dilations[1]
    )
    rows_together = largest_divisor(rows, max(1, images * rows // machine.tasks))
    pieces = rows // rows_together
    with function(name) as builder:
        tensors = _Tensors(
            argument("x", conv.x_shape),
            argument("weight", (*conv.kernel, channels)),
            argument("bias", (channels,)),
            argument("residual", conv.y_shape) if conv.epilogue.residual else None,
            argument("y", conv.y_shape),
        )
        with T.parallel(images * pieces) as task, T.serial(rows_together) as row_of_piece:
            image, row = task // pieces, task % pieces * rows_together + row_of_piece
            with T.serial(channels // lanes) as block:
                for run in row_runs:
                    with T.serial(run.count) as index:
                        at = (image, row, run.start + index * run.size, block * lanes)
                        _tile(conv, tensors, run, at, lanes)
    return builder.get()


@dataclass(frozen=True)
class _Tensors:
    x: Any
    weight: Any
    bias: Any
    residual: Any
    y: Any


def _pixels(columns: int, machine: Machine) -> int:
    limit = min(MAX_PIXELS, machine.registers // 2)
    return -(-columns // -(-columns // limit))


def _tile(conv: Conv, tensors: _Tensors, run: Run, at, lanes: int) -> None:
    """Accumulate some pixels of a row with the filters of some channels, and write them."""
    image, row, column, channel = at
    channels = vector(channel, lanes)
    sums = registers((run.size, lanes))
    lane = vector(0, lanes)
    for pixel in range(run.size):
        T.buffer_store(sums, tensors.bias[channels], [pixel, lane])
    for tap_row in range(conv.kernel[0]):
        in_row = row * conv.strides[0] + tap_row * conv.dilations[0] - conv.padding[0]
        with when(_on_image(conv, tap_row, in_row)):
            for tap, on_image in enumerate(run.taps):
                for pixel in on_image:
                    in_column = (column + pixel) * conv.strides[1] + tap * conv.dilations[1] - conv.padding[1]
                    product = (
                        tensors.x[image, in_row, in_column, channels] * tensors.weight[tap_row, tap, channels]
                    )
                    T.buffer_store(sums, sums[pixel, lane] + product, [pixel, lane])
    for pixel in range(run.size):
        to = [image, row, column + pixel, channels]
        residual = None if tensors.residual is None else tensors.residual[tuple(to)]
        T.buffer_store(tensors.y, conv.epilogue.apply(sums[pixel, lane], residual, lanes), to)


def _on_image(conv: Conv, tap_row: int, in_row):
    """The condition that a tap's row is in the image; None if it always is."""
    last = (conv.y_shape[1] - 1) * conv.strides[0] + tap_row * conv.dilations[0] - conv.padding[0]
    return both(
        in_row >= 0 if tap_row * conv.dilations[0] < conv.padding[0] else None,
        in_row < conv.x_shape[1] if last >= conv.x_shape[1] else None,
    )

"""Convolution, channels last, whose input channels may come from other frames: ``y = act(W * x + b + r)``.

``x`` is ``(N, H, W, C)``, ``y`` ``(M, H', W', O)``. A tile of pixels times output channels is accumulated in
registers while the loops run over input channels; for each channel, one value of each pixel is multiplied
with a vector of filters. Since those values are addressed one by one, a channel can be read from the frame
before or after: a ``Source`` has the origin of a range of channels. So a temporal shift, or the frames of a
temporal filter, take another base address but no copy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm.tirx.script.builder import ir as T

from edgevid.kernels.common.tvm.emit import (
    PLAIN,
    Epilogue,
    argument,
    both,
    broadcast,
    function,
    registers,
    vector,
    view,
    when,
)
from edgevid.kernels.common.tvm.machine import Machine
from edgevid.kernels.common.tvm.tiles import Run, largest_divisor, runs, smallest_divisor, tile_shape


@dataclass(frozen=True)
class Source:
    """The origin of channels ``start`` to ``stop`` of a convolution's input.

    They are read from the frame ``offset`` frames later of the same clip, zeros beyond it, from its channel
    ``channel`` on; or, ``from_state``, from a channels-first tensor ``(N, stop - start, H, W)``.
    """

    start: int
    stop: int
    offset: int = 0
    channel: int = 0
    from_state: bool = False


@dataclass(frozen=True)
class Frames:
    """Clips of ``count`` input frames, with an output frame for every ``stride``."""

    count: int = 1
    stride: int = 1

    @property
    def count_out(self) -> int:
        return -(-self.count // self.stride)


@dataclass(frozen=True)
class Conv:
    """A convolution of ``x`` ``(N, H, W, C)``; ``padding`` is top, left, bottom, right.

    ``sources`` are in order and cover the input channels (of all groups); if empty, these are ``x``'s. With
    ``planar`` the layout of ``x`` is ``(N, C, H, W)``, as for the first convolution of a network.
    """

    x_shape: tuple[int, int, int, int]
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    sources: tuple[Source, ...] = ()
    frames: Frames = Frames()
    epilogue: Epilogue = PLAIN
    planar: bool = False

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        images, *size, _ = self.x_shape
        out = [
            (extent + self.padding[axis] + self.padding[axis + 2] - self.dilations[axis] * (taps - 1) - 1)
            // self.strides[axis]
            + 1
            for axis, (extent, taps) in enumerate(zip(size, self.kernel))
        ]
        images = images // self.frames.count * self.frames.count_out
        height, width = out
        return images, height, width, self.out_channels

    @property
    def channels(self) -> int:
        """Input channels of all groups."""
        return self.sources[-1].stop if self.sources else self.x_shape[3]

    @property
    def reads_only_its_frame(self) -> bool:
        return not any(source.offset or source.from_state for source in self.sources) and (
            self.frames.stride == 1
        )

    @property
    def state_channels(self) -> int:
        return sum(source.stop - source.start for source in self.sources if source.from_state)

    @property
    def is_pointwise(self) -> bool:
        return self.kernel == (1, 1) and self.strides == (1, 1) and not any(self.padding) and not self.planar

    def tile(self, machine: Machine) -> tuple[int, int, int]:
        """Pixels, vectors and lanes of a tile."""
        columns = self._flattened().y_shape[2]
        return tile_shape(columns, self.out_channels // self.groups, machine)

    def _flattened(self) -> Conv:
        """The same convolution over longer rows, if rows are short and need not be distinguished."""
        images, height, width, channels = self.x_shape
        if not self.is_pointwise or width >= 14:
            return self
        if self.reads_only_its_frame and not self.sources and height * width < 14:
            return replace(self, x_shape=(1, 1, images * height * width, channels))
        return replace(self, x_shape=(images, 1, height * width, channels))


def pack_weight(weight: np.ndarray, conv: Conv, machine: Machine) -> np.ndarray:
    """``(O, C/groups, kh, kw)`` as ``(O/tile, kh, C/groups, kw, tile)``, in the order of reads."""
    _, vectors, lanes = conv.tile(machine)
    outputs, channels, height, width = weight.shape
    tiled = weight.reshape(outputs // (vectors * lanes), vectors * lanes, channels, height, width)
    return np.ascontiguousarray(tiled.transpose(0, 3, 2, 4, 1))


def conv_function(name: str, conv: Conv, machine: Machine):
    """The TIR function ``name(x, [state,] weight, bias, [residual,] y)``; ``bias`` is ``(O,)``."""
    flat = conv._flattened()
    pixels, vectors, lanes = conv.tile(machine)
    tile = vectors * lanes
    blocks = conv.out_channels // tile
    group_channels = conv.channels // conv.groups
    with function(name) as builder:
        images, height, width, channels = conv.x_shape
        x = argument("x", (images, channels, height, width) if conv.planar else conv.x_shape)
        state = _state(conv)
        weight = argument("weight", (blocks, conv.kernel[0], group_channels, conv.kernel[1], tile))
        bias = argument("bias", (conv.out_channels,))
        residual = argument("residual", conv.y_shape) if conv.epilogue.residual else None
        y = argument("y", conv.y_shape)
        tensors = _Tensors(
            x if conv.planar else view(x, flat.x_shape),
            None if state is None else view(state, (*state.shape[:2], *flat.x_shape[1:3])),
            weight,
            bias,
            None if residual is None else view(residual, flat.y_shape),
            view(y, flat.y_shape),
        )
        _loops(flat, tensors, (pixels, vectors, lanes), machine)
    return builder.get()


@dataclass(frozen=True)
class _Tensors:
    x: Any
    state: Any
    weight: Any
    bias: Any
    residual: Any
    y: Any


def _state(conv: Conv):
    if not conv.state_channels:
        return None
    images, height, width, _ = conv.x_shape
    return argument("state", (images, conv.state_channels, height, width))


def _loops(conv: Conv, tensors: _Tensors, shape: tuple[int, int, int], machine: Machine) -> None:
    """Loops of a thread over some rows of an image and some filters; a filter is reused over its rows."""
    pixels, vectors, lanes = shape
    images, rows, columns, _ = conv.y_shape
    blocks = conv.out_channels // (vectors * lanes)
    row_bytes = 4 * conv.x_shape[2] * conv.x_shape[3] * conv.strides[0]
    rows_together = largest_divisor(rows, machine.cache_bytes // row_bytes)
    pieces = rows // rows_together
    parts = smallest_divisor(blocks, min(blocks, -(-machine.tasks // (images * pieces))))
    row_runs = runs(
        columns,
        pixels,
        conv.x_shape[2],
        conv.kernel[1],
        conv.strides[1],
        conv.padding[1],
        conv.dilations[1],
    )
    with T.parallel(images * pieces * parts) as task:
        image = task // (pieces * parts)
        piece = task // parts % pieces
        with T.serial(blocks // parts) as block_of_part, T.serial(rows_together) as row_of_piece:
            block = task % parts * (blocks // parts) + block_of_part
            row = piece * rows_together + row_of_piece
            for run in row_runs:
                with T.serial(run.count) as index:
                    _tile(conv, tensors, run, image, row, run.start + index * run.size, block, shape)


def _tile(conv: Conv, tensors: _Tensors, run: Run, image, row, column, block, shape) -> None:
    """Accumulate one tile in registers, and write it."""
    _, vectors, lanes = shape
    tile = vectors * lanes
    sums = registers((run.size, tile))
    positions = [(pixel, v * lanes) for pixel in range(run.size) for v in range(vectors)]
    for pixel, first in positions:
        T.buffer_store(sums, tensors.bias[vector(block * tile + first, lanes)], [pixel, vector(first, lanes)])
    for source in conv.sources or (Source(0, conv.channels),):
        frame, inside = _frame(conv, source, image)
        with when(inside), T.serial(conv.kernel[0]) as tap_row:
            in_row = row * conv.strides[0] + tap_row * conv.dilations[0] - conv.padding[0]
            with when(_on_image(conv, in_row)):
                at = (frame, in_row, column, block, tap_row)
                _products(conv, tensors, source, run, at, sums, shape)
    for pixel, first in positions:
        to = [image, row, column + pixel, vector(block * tile + first, lanes)]
        residual = None if tensors.residual is None else tensors.residual[tuple(to)]
        value = conv.epilogue.apply(sums[pixel, vector(first, lanes)], residual, lanes)
        T.buffer_store(tensors.y, value, to)


def _products(conv: Conv, tensors: _Tensors, source: Source, run: Run, at, sums, shape) -> None:
    """Accumulate one source's channels with one row of filters."""
    _, vectors, lanes = shape
    frame, in_row, column, block, tap_row = at
    per_group = conv.channels // conv.groups
    start, stop = (0, per_group) if conv.groups > 1 else (source.start, source.stop)
    group = block * vectors * lanes // (conv.out_channels // conv.groups)
    with T.serial(start, stop) as channel:
        from_channel = channel - source.start + source.channel
        if conv.groups > 1:
            from_channel = group * per_group + channel
        for tap, on_image in enumerate(run.taps):
            for pixel in on_image:
                in_column = (column + pixel) * conv.strides[1] + tap * conv.dilations[1] - conv.padding[1]
                value = _read(conv, tensors, source, frame, in_row, in_column, from_channel)
                for v in range(vectors):
                    to = vector(v * lanes, lanes)
                    product = broadcast(value, lanes) * tensors.weight[block, tap_row, channel, tap, to]
                    T.buffer_store(sums, sums[pixel, to] + product, [pixel, to])


def _read(conv: Conv, tensors: _Tensors, source: Source, frame, row, column, channel):
    if source.from_state:
        return tensors.state[frame, channel, row, column]
    if conv.planar:
        return tensors.x[frame, channel, row, column]
    return tensors.x[frame, row, column, channel]


def _frame(conv: Conv, source: Source, image) -> tuple[object, object]:
    """The input frame of a source for an output frame, and the condition that it is in the clip."""
    frames = conv.frames
    if conv.reads_only_its_frame or source.from_state:
        return image, None
    clip, frame = image // frames.count_out, image % frames.count_out * frames.stride + source.offset
    inside = both(
        frame >= 0 if source.offset < 0 else None,
        frame < frames.count if source.offset > 0 else None,
    )
    return clip * frames.count + frame, inside


def _on_image(conv: Conv, row):
    """The condition that an input row exists; None if all do."""
    top, _, bottom, _ = conv.padding
    return both(row >= 0 if top else None, row < conv.x_shape[1] if bottom else None)

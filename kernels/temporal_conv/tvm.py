"""Channel-wise temporal convolution, channels last, in TIR: ``y[t] = act(b + sum_j w[j] x[t + j])``.

``x`` is ``(N*T, H, W, C)``. A tile is some pixels of a frame times a vector of channels; the frames of its
taps are read in place, and frames beyond the clip are not read.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm.tirx.script.builder import ir as T

from edgevid.kernels.common.tvm.emit import (
    PLAIN,
    Epilogue,
    argument,
    both,
    function,
    registers,
    vector,
    view,
    when,
)
from edgevid.kernels.common.tvm.machine import Machine
from edgevid.kernels.common.tvm.tiles import largest_divisor

MAX_PIXELS = 8


def temporal_conv_function(
    name: str,
    shape: tuple[int, int, int, int],
    frames: int,
    offsets: Sequence[int],
    machine: Machine,
    epilogue: Epilogue = PLAIN,
):
    """The TIR function ``name(x, weight, bias, [residual,] y)``, ``weight`` being ``(taps, C)``.

    ``offsets`` has each tap's frame offset from the present frame; a clip has ``frames`` frames.
    """
    images, height, width, channels = shape
    pixels = height * width
    lanes = machine.vector(channels)
    size = largest_divisor(pixels, MAX_PIXELS)
    together = largest_divisor(pixels // size, max(1, images * pixels // size // machine.tasks))
    pieces = pixels // size // together
    flat = (images, pixels, channels)
    with function(name) as builder:
        x = argument("x", shape)
        weight = argument("weight", (len(offsets), channels))
        bias = argument("bias", (channels,))
        residual = argument("residual", shape) if epilogue.residual else None
        y = argument("y", shape)
        x, y = view(x, flat), view(y, flat)
        residual = None if residual is None else view(residual, flat)
        with T.parallel(images * pieces) as task, T.serial(together) as index:
            image, first = task // pieces, (task % pieces * together + index) * size
            with T.serial(channels // lanes) as block:
                at = vector(block * lanes, lanes)
                lane = vector(0, lanes)
                sums = registers((size, lanes))
                for pixel in range(size):
                    T.buffer_store(sums, bias[at], [pixel, lane])
                for tap, offset in enumerate(offsets):
                    with when(_in_clip(image % frames + offset, offset, frames)):
                        for pixel in range(size):
                            product = x[image + offset, first + pixel, at] * weight[tap, at]
                            T.buffer_store(sums, sums[pixel, lane] + product, [pixel, lane])
                for pixel in range(size):
                    to = [image, first + pixel, at]
                    addend = None if residual is None else residual[tuple(to)]
                    T.buffer_store(y, epilogue.apply(sums[pixel, lane], addend, lanes), to)
    return builder.get()


def _in_clip(frame, offset: int, frames: int):
    """Whether a frame is in its clip; None if it always is."""
    return both(frame >= 0 if offset < 0 else None, frame < frames if offset > 0 else None)

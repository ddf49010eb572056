"""Where a convolution reads its channels from if it absorbs the temporal op before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.ops import frame_stack, temporal_shift

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.kernels.common.tvm.conv import Frames, Source

    Sources = tuple[tuple[Source, ...], Frames]


def _of_shift(node: ir.Node, channels: int) -> Sources:
    from edgevid.kernels.common.tvm.conv import Frames
    from edgevid.kernels.shift_conv.tvm import shift_sources

    shift = temporal_shift.from_node(node)
    return shift_sources(shift, channels), Frames(shift.frames)


def _of_shift_step(node: ir.Node, channels: int) -> Sources:
    from edgevid.kernels.common.tvm.conv import Frames
    from edgevid.kernels.shift_conv.tvm import step_sources

    return step_sources(temporal_shift.from_node(node).fold, channels), Frames()


def _of_frame_stack(node: ir.Node, channels: int) -> Sources:
    from edgevid.kernels.common.tvm.conv import Frames, Source

    stack = frame_stack.from_node(node)
    sources = tuple(
        Source(tap * channels, (tap + 1) * channels, offset) for tap, offset in enumerate(stack.offsets)
    )
    return sources, Frames(stack.frames, stack.stride)


SOURCES = {
    "TemporalShift": _of_shift,
    "TemporalShiftStep": _of_shift_step,
    "FrameStack": _of_frame_stack,
}
"""By op type the ops that a convolution absorbs: it reads its input from other frames instead."""

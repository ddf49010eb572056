"""The temporal shift fused into the following convolution, for TVM: the frame of each range of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.kernels.common.tvm.conv import Source

if TYPE_CHECKING:
    from edgevid.ops.temporal_shift import Shift


def shift_sources(shift: Shift, channels: int) -> tuple[Source, ...]:
    """The sources of a convolution over ``channels`` shifted channels, without shifting them."""
    fold, moved_channels = shift.fold, shift.moved_channels
    sources = [Source(0, fold, shift.first, 0), Source(fold, moved_channels, shift.second, fold)]
    sources.append(Source(moved_channels, channels, 0, moved_channels))
    return tuple(source for source in sources if source.start < source.stop)


def step_sources(fold: int, channels: int) -> tuple[Source, ...]:
    """The same for one frame of a stream, whose first ``fold`` channels are the state."""
    sources = (Source(0, fold, from_state=True), Source(fold, channels, 0, fold))
    return tuple(source for source in sources if source.start < source.stop)

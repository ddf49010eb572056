"""The temporal shift fused into the following 1x1 convolution on tensor cores: half precision, channels-last.

    y[m, o] = clamp(bias[o] + sum over channels c of w[o, c] * x[m + offset(c) * pixels, c] + residual[m, o])

``m`` counts the pixels of all frames, and ``offset(c)`` is the frame offset from which channel ``c`` is read,
as in ``edgevid.ShiftConv``. A neighboring frame is ``pixels`` rows away in memory, so a block of the
reduction over channels reads a shifted frame with a pointer offset: the shift moves no bytes. Frames beyond
the clip are loads masked to zero.

Cost for M pixels, C channels and O outputs: M C O MACs; M C + C O elements read and M O written (and M O read
of a residual), each once if the cache holds the rows of ``x`` for all blocks of outputs.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def load_weights(weights, output, k, CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr):
    inside = (output < OUTPUTS)[:, None] & (k < CHANNELS)[None, :]
    return tl.load(weights + output[:, None] * CHANNELS + k[None, :], mask=inside, other=0.0)


@triton.jit
def frame_offset(k, FOLD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """The frame offset from which channels ``k`` are read."""
    MOVED: tl.constexpr = FOLD if SECOND == 0 else 2 * FOLD
    return tl.where(k < FOLD, FIRST, tl.where(k < MOVED, SECOND, 0))


@triton.jit
def load_from(x, at, inside, frame, offset, pixels, CHANNELS: tl.constexpr, FRAMES: tl.constexpr):
    """``x`` at ``at``, each column ``offset`` frames later; zeros beyond the clip."""
    later = frame[:, None] + offset[None, :]
    mask = inside & (later >= 0) & (later < FRAMES)
    return tl.load(x + at + offset[None, :] * (pixels * CHANNELS), mask=mask, other=0.0)


@triton.jit
def load_mixed(x, state, row, valid, frame, k, pixels, CHANNELS: tl.constexpr, FRAMES: tl.constexpr,
               FOLD: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
               STREAMED: tl.constexpr):  # fmt: skip
    """Channels ``k`` of the shifted rows, if they come from several frames.

    Reads whole groups of 8 channels, 16 bytes, whatever the fold, from the frame of the group's first
    channel, and from that of the last channel if it is another.
    """
    inside = valid[:, None] & (k < CHANNELS)[None, :]
    at = row[:, None] * CHANNELS + k[None, :]
    if STREAMED:
        block = tl.load(x + at, mask=inside & (k // 8 * 8 + 8 > FOLD)[None, :], other=0.0)
        state_mask = valid[:, None] & (k < FOLD)[None, :]
        first = tl.load(state + row[:, None] * FOLD + k[None, :], mask=state_mask, other=0.0)
        block = tl.where((k < FOLD)[None, :], first, block)
    else:
        offset = frame_offset(k, FOLD, FIRST, SECOND)
        begin = frame_offset(k // 8 * 8, FOLD, FIRST, SECOND)
        block = load_from(x, at, inside, frame, begin, pixels, CHANNELS, FRAMES)
        if FOLD % 8 != 0:
            end = frame_offset(k // 8 * 8 + 7, FOLD, FIRST, SECOND)
            straddling = inside & (begin != end)[None, :]
            other = load_from(x, at, straddling, frame, end, pixels, CHANNELS, FRAMES)
            block = tl.where((offset == begin)[None, :], block, other)
            if SECOND != 0 and FOLD < 4:  # the first group reads three frames
                middle = tl.full(k.shape, SECOND, tl.int32)
                other = load_from(x, at, straddling, frame, middle, pixels, CHANNELS, FRAMES)
                block = tl.where((offset == middle)[None, :], other, block)
    return block


@triton.jit
def shift_conv_kernel(x, weights, bias, residual, y, state, next_state, rows, pixels,
                      CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr, FRAMES: tl.constexpr, FOLD: tl.constexpr,
                      FIRST: tl.constexpr, SECOND: tl.constexpr, STREAMED: tl.constexpr,
                      HAS_BIAS: tl.constexpr, HAS_RESIDUAL: tl.constexpr, LOW: tl.constexpr,
                      HIGH: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_OUTPUTS: tl.constexpr,
                      BLOCK_CHANNELS: tl.constexpr):  # fmt: skip
    """A program computes ``BLOCK_ROWS`` pixels of ``BLOCK_OUTPUTS`` outputs.

    ``x`` is (rows, CHANNELS), ``weights`` (OUTPUTS, CHANNELS), ``y`` and ``residual`` (rows, OUTPUTS),
    ``state`` and ``next_state`` (rows, FOLD). ``LOW`` and ``HIGH`` are None without a bound.
    """
    MOVED: tl.constexpr = FOLD if SECOND == 0 else 2 * FOLD
    # Neighboring programs share rows of x, so that they hit the cache.
    OUTPUT_BLOCKS: tl.constexpr = (OUTPUTS + BLOCK_OUTPUTS - 1) // BLOCK_OUTPUTS
    program = tl.program_id(0)
    first_row = program // OUTPUT_BLOCKS * BLOCK_ROWS
    row = first_row + tl.arange(0, BLOCK_ROWS)
    valid = row < rows
    frame = row // pixels % FRAMES
    output = program % OUTPUT_BLOCKS * BLOCK_OUTPUTS + tl.arange(0, BLOCK_OUTPUTS)
    k = tl.arange(0, BLOCK_CHANNELS)
    sums = tl.zeros((BLOCK_ROWS, BLOCK_OUTPUTS), dtype=tl.float32)

    # Blocks of channels from a single frame need one load; other blocks are few.
    MIXED: tl.constexpr = FOLD % BLOCK_CHANNELS != 0 or STREAMED
    MIXED_END: tl.constexpr = (MOVED + BLOCK_CHANNELS - 1) // BLOCK_CHANNELS * BLOCK_CHANNELS if MIXED else 0
    if MIXED:
        # Loaded first and used last, so that the loop hides the latency.
        early_block = load_mixed(x, state, row, valid, frame, k, pixels, CHANNELS, FRAMES, FOLD, FIRST,
                                 SECOND, STREAMED)  # fmt: skip
        early_weight = load_weights(weights, output, k, CHANNELS, OUTPUTS)
    for low in tl.static_range(BLOCK_CHANNELS, MIXED_END, BLOCK_CHANNELS):
        block = load_mixed(x, state, row, valid, frame, low + k, pixels, CHANNELS, FRAMES, FOLD, FIRST,
                           SECOND, STREAMED)  # fmt: skip
        weight = load_weights(weights, output, low + k, CHANNELS, OUTPUTS)
        sums = tl.dot(block, tl.trans(weight), sums)
    for low in range(MIXED_END, CHANNELS, BLOCK_CHANNELS):
        start = low
        row_mask = valid
        if not MIXED and FOLD > 0:
            offset = tl.where(low < FOLD, FIRST, tl.where(low < MOVED, SECOND, 0))
            row_mask = valid & (frame + offset >= 0) & (frame + offset < FRAMES)
            start = low + offset * pixels * CHANNELS
        at_x = x + start + row[:, None] * CHANNELS + k[None, :]
        if CHANNELS % BLOCK_CHANNELS == 0:
            block = tl.load(at_x, mask=row_mask[:, None], other=0.0)
        else:
            block = tl.load(at_x, mask=row_mask[:, None] & (low + k < CHANNELS)[None, :], other=0.0)
        weight = load_weights(weights, output, low + k, CHANNELS, OUTPUTS)
        sums = tl.dot(block, tl.trans(weight), sums)
    if MIXED:
        sums = tl.dot(early_block, tl.trans(early_weight), sums)

    at = row[:, None] * OUTPUTS + output[None, :]
    inside = valid[:, None] & (output < OUTPUTS)[None, :]
    if HAS_BIAS:
        sums += tl.load(bias + output, mask=output < OUTPUTS, other=0.0).to(tl.float32)[None, :]
    if HAS_RESIDUAL:
        sums += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
    if LOW is not None:
        sums = tl.maximum(sums, LOW)
    if HIGH is not None:
        sums = tl.minimum(sums, HIGH)
    tl.store(y + at, sums.to(y.dtype.element_ty), mask=inside)
    if STREAMED:  # noqa: SIM102 - one is a compile-time constant
        # The programs of the first outputs write the first channels as the next state.
        if program % OUTPUT_BLOCKS == 0:
            for begin in tl.static_range(0, FOLD, BLOCK_CHANNELS):
                state_mask = valid[:, None] & (begin + k < FOLD)[None, :]
                state_channels = tl.load(
                    x + row[:, None] * CHANNELS + (begin + k)[None, :], mask=state_mask, other=0.0
                )
                tl.store(
                    next_state + row[:, None] * FOLD + (begin + k)[None, :], state_channels, mask=state_mask
                )

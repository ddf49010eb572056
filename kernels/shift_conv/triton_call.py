"""The fused shift and 1x1 convolution for torch tensors, on a GPU or in Triton's interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgevid.errors import BackendError

if TYPE_CHECKING:
    import torch

MAX_ELEMENTS = 2**31
"""Element indices are 32-bit."""


class Blocks(NamedTuple):
    """The output block of a program (``rows`` pixels by ``outputs``), the channels of a reduction step, and
    the numbers of warps and of software pipeline stages."""

    rows: int
    outputs: int
    channels: int
    warps: int
    stages: int


class Gpu(NamedTuple):
    """The number of multiprocessors, and the maximum shared memory of a program."""

    sm_count: int
    shared_bytes: int


def choose_blocks(rows: int, channels: int, outputs: int, fold: int, gpu: Gpu) -> Blocks:
    """Blocks for a convolution of ``rows`` pixels, by rules fitted to an H200.

    There the layers of ResNet-50 and MobileNetV2, at 8 and 64 frames, take 1.5 % more time on average, at
    most 8 %, than with the best of 26 to 90 measured blocks.
    """

    def programs(block_rows: int, block_outputs: int) -> int:
        return -(-rows // block_rows) * -(-outputs // block_outputs)

    reduction = min(64, _power_of_two(channels))
    if channels > 64 and fold % reduction:
        reduction = 32  # then more blocks read a single frame
    is_mixed = fold % reduction != 0
    block_outputs = min(128, _power_of_two(outputs))
    if -(-outputs // 128) * 128 > 1.15 * -(-outputs // 64) * 64:
        block_outputs = min(64, block_outputs)  # 128 would waste too much on padding
    # Large blocks read less; smaller ones use all multiprocessors on a small layer.
    while block_outputs > 32 and programs(64, block_outputs) < 0.7 * gpu.sm_count:
        block_outputs //= 2
    block_rows, warps = 64, 4
    if channels < 512 and not is_mixed and programs(128, block_outputs) >= gpu.sm_count:
        block_rows = 128
    elif channels >= 512 and block_outputs == 128 and programs(128, 128) >= 2 * gpu.sm_count:
        block_rows, warps = 128, 8
    count = programs(block_rows, block_outputs)
    if channels >= 1024 and count < gpu.sm_count:
        reduction = 128
    is_deep = channels // reduction >= 8 and count < 2 * gpu.sm_count
    stages = 4 if is_deep or (block_rows, warps) == (128, 4) else 3
    while stages > 1 and 2 * reduction * (block_rows + block_outputs) * stages > gpu.shared_bytes:
        stages -= 1
    return Blocks(block_rows, block_outputs, reduction, warps, stages)


def shift_conv(
    x: torch.Tensor,
    weights: torch.Tensor,
    bias: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
    *,
    frames: int,
    fold: int,
    first: int = 1,
    second: int = -1,
    low: float | None = None,
    high: float | None = None,
    state: torch.Tensor | None = None,
    next_state: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
    blocks: Blocks | None = None,
) -> torch.Tensor:
    """``y`` ``(N*T, O, H, W)`` of ``x`` ``(N*T, C, H, W)``, both channels-last, float16 or bfloat16.

    ``weights`` are ``(O, C, 1, 1)`` or ``(O, C)``, ``bias`` ``(O,)``, ``residual`` is like ``y``. ``frames``,
    ``fold``, ``first`` and ``second`` are those of ``TemporalShift``; ``low`` and ``high`` bound the result.
    With ``state`` and ``next_state`` ``(N, fold, H, W)``, channels-last and not the same memory, ``x`` is one
    frame of a stream. Raises ``BackendError`` for invalid shapes.
    """
    from edgevid.kernels.shift_conv.triton import shift_conv_kernel

    images, channels, *plane = x.shape
    outputs = weights.shape[0]
    if y is None:
        y = x.new_empty((images, *plane, outputs)).permute(0, 3, 1, 2)
    pixels = plane[0] * plane[1]
    _check(x, weights, (residual, y), (state, next_state), frames, fold, second)
    blocks = blocks or choose_blocks(images * pixels, channels, outputs, fold, _gpu_of(x))
    grid = (-(-images * pixels // blocks.rows) * -(-outputs // blocks.outputs),)
    shift_conv_kernel[grid](
        x, weights, bias, residual, y, state, next_state, images * pixels, pixels,
        channels, outputs, frames, fold, first, second, state is not None, bias is not None,
        residual is not None, low, high, blocks.rows, blocks.outputs, blocks.channels,
        num_warps=blocks.warps, num_stages=blocks.stages,
    )  # fmt: skip
    return y


def _check(x, weights, like_y, states, frames: int, fold: int, second: int) -> None:
    images, channels, *plane = x.shape
    outputs = weights.shape[0]
    if tuple(weights.shape[1:]) not in ((channels,), (channels, 1, 1)) or not weights.is_contiguous():
        raise BackendError(f"weights of {channels} channels must be ({outputs}, {channels}) and contiguous")
    if frames < 1 or images % frames or not 0 <= fold * (2 if second else 1) <= channels:
        raise BackendError(f"a fold of {fold} in {frames} frames does not fit {tuple(x.shape)}")
    shapes = [(x, tuple(x.shape)), *((tensor, (images, outputs, *plane)) for tensor in like_y)]
    shapes += [(tensor, (images, fold, *plane)) for tensor in states]
    for tensor, shape in shapes:
        if tensor is None:
            continue
        rows = tensor.permute(0, 2, 3, 1)
        if tuple(tensor.shape) != shape or not rows.is_contiguous() or tensor.dtype != x.dtype:
            raise BackendError(f"a tensor must be {shape}, channels-last and {x.dtype}")
        if tensor.numel() >= MAX_ELEMENTS:
            raise BackendError(
                f"a tensor of {tensor.numel()} elements is too large: take fewer clips at once"
            )
    if (states[0] is None) != (states[1] is None) or (states[0] is not None and frames != 1):
        raise BackendError("a stream takes one frame, a state and a next state")


def _gpu_of(x: torch.Tensor) -> Gpu:
    if not x.is_cuda:
        return Gpu(132, 227 << 10)
    from triton.runtime import driver

    properties = driver.active.utils.get_device_properties(x.device.index)
    return Gpu(properties["multiprocessor_count"], properties["max_shared_mem"])


def _power_of_two(count: int) -> int:
    """The next power of two, at least 16, the minimum for tensor cores."""
    return max(16, 1 << (count - 1).bit_length())

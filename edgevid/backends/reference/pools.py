"""MaxPool and AveragePool in whole arrays: ONNX's evaluator loops over each window's elements in Python.

It also takes the four paddings of a pool of stride 1 in another order than the standard.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_max_pool import MaxPool as LoopedMaxPool


class MaxPool(LoopedMaxPool):
    def _run(self, x: np.ndarray, **attributes: Any) -> tuple[np.ndarray, ...]:  # type: ignore[override]
        if len(self.output) > 1:  # no network of ours asks where the maxima are
            return super()._run(x, **attributes)
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        windows = _Windows(x.shape[2:], attributes)
        return (windows.fold(np.maximum, windows.padded(x, lowest), lowest),)


class AveragePool(OpRun):
    op_domain = ""

    def _run(self, x: np.ndarray, *, count_include_pad: int = 0, **attributes: Any) -> tuple[np.ndarray]:
        windows = _Windows(x.shape[2:], attributes)
        ones = windows.padded(np.ones((1, 1, *x.shape[2:]), x.dtype), count_include_pad)
        return (windows.fold(np.add, windows.padded(x, 0), 0) / windows.fold(np.add, ones, 0),)


class _Windows:
    """The windows of a pool over arrays of ``(N, C, *sizes)``."""

    def __init__(self, sizes: Sequence[int], attributes: dict[str, Any]) -> None:
        ones = [1] * len(sizes)
        self.strides = attributes.get("strides") or ones
        self.dilations = attributes.get("dilations") or ones
        kernel = zip(attributes["kernel_shape"], self.dilations)
        self.lengths = [(taps - 1) * dilation + 1 for taps, dilation in kernel]
        self.pads = self._pads(sizes, attributes)
        ceil = bool(attributes.get("ceil_mode"))
        self.counts = [self._count(axis, size, ceil) for axis, size in enumerate(sizes)]

    def _pads(self, sizes: Sequence[int], attributes: dict[str, Any]) -> list[tuple[int, int]]:
        rule = attributes.get("auto_pad", "NOTSET")
        if rule in ("NOTSET", "VALID"):
            pads = attributes.get("pads") if rule == "NOTSET" else None
            pads = pads or [0] * (2 * len(sizes))
            return list(zip(pads[: len(sizes)], pads[len(sizes) :]))
        lacking = [
            max(0, (-(-size // stride) - 1) * stride + length - size)
            for size, stride, length in zip(sizes, self.strides, self.lengths)
        ]
        halves = [(total // 2, total - total // 2) for total in lacking]
        return halves if rule == "SAME_UPPER" else [(more, less) for less, more in halves]

    def _count(self, axis: int, size: int, ceil: bool) -> int:
        """Windows along an axis; with ``ceil`` the last may reach over the end, but begins before it."""
        before, after = self.pads[axis]
        stride = self.strides[axis]
        steps, rest = divmod(size + before + after - self.lengths[axis], stride)
        if ceil and rest and (steps + 1) * stride < size + before:
            steps += 1
        return steps + 1

    def padded(self, x: np.ndarray, value: float) -> np.ndarray:
        return np.pad(x, [(0, 0), (0, 0), *self.pads], constant_values=value)

    def fold(self, function: Callable[..., np.ndarray], x: np.ndarray, beyond: float) -> np.ndarray:
        """Each window's elements in one by ``function``, axis by axis; ``beyond`` lies over the end."""
        for axis, count in enumerate(self.counts):
            length, stride, before = self.lengths[axis], self.strides[axis], (slice(None),) * (2 + axis)
            last = (count - 1) * stride
            if (over := last + length - x.shape[2 + axis]) > 0:
                pads = [(0, 0)] * x.ndim
                pads[2 + axis] = (0, over)
                x = np.pad(x, pads, constant_values=beyond)
            starts = range(0, length, self.dilations[axis])
            taps = ((*before, slice(first, first + last + 1, stride)) for first in starts)
            x = functools.reduce(function, (x[tap] for tap in taps))
        return x

"""Preprocess's C structure for the planes of a decoder."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgevid.kernels.preprocess.filters import Filter

ONE, UNIT, GROUP, TAP_BLOCK = 1 << 14, 1 << 20, 8, 8
"""The constants of preprocess.h."""

OUTPUTS = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int8): 2}


class Layout(NamedTuple):
    """How samples lie in memory.

    ``bits`` of a sample are used; more than 8 are in words, at their upper end if ``aligned_high``. U and V
    share a plane if ``interleaved``.
    """

    bits: int = 8
    interleaved: bool = False
    aligned_high: bool = False

    @property
    def sample_bytes(self) -> int:
        return 1 if self.bits == 8 else 2


class PreprocessFilter(ctypes.Structure):
    """The structure of preprocess.h."""

    _fields_ = (("first", ctypes.c_void_p), ("weights", ctypes.c_void_p), ("taps", ctypes.c_int64))


class Preprocess(ctypes.Structure):
    """The structure of preprocess.h."""

    _fields_ = (
        ("planes", ctypes.c_void_p * 3),
        ("strides", ctypes.c_int64 * 3),
        ("windows", ctypes.c_int64 * 2),
        ("sample_bytes", ctypes.c_int64),
        ("sample_shift", ctypes.c_int64),
        ("interleaved", ctypes.c_int64),
        ("rows", PreprocessFilter * 2),
        ("columns", PreprocessFilter * 2),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("color", ctypes.c_float * 4 * 3),
        ("low", ctypes.c_float * 3),
        ("high", ctypes.c_float * 3),
        ("out", ctypes.c_void_p),
        ("output", ctypes.c_int64),
        ("channel_step", ctypes.c_int64),
        ("row_step", ctypes.c_int64),
        ("turned", ctypes.c_int64),
    )


class Table:
    """A filter in fixed point; its samples count from ``begin`` to ``end``."""

    def __init__(self, filter: Filter) -> None:
        # Rounded sums, whose differences add up to ONE.
        sums = np.rint(np.cumsum(filter.weights, axis=1) * ONE)
        weights = np.diff(sums, axis=1, prepend=0).astype(np.int16)
        last = weights.shape[1] - (weights[:, ::-1] != 0).argmax(axis=1)
        self.begin, self.end = int(filter.first.min()), int((filter.first + last).max())
        self.first = filter.first.astype(np.int32)
        self.weights = np.ascontiguousarray(weights[:, : last.max()])

    def in_groups(self) -> Table:
        """As the kernel has filters of columns, with samples counted from ``begin``."""
        pixels, taps = self.weights.shape
        more_pixels, more_taps = -pixels % GROUP, -taps % TAP_BLOCK
        self.first = np.pad(self.first - self.begin, (0, more_pixels)).astype(np.int32)
        padded = np.pad(self.weights, ((0, more_pixels), (0, more_taps)))
        blocks = padded.reshape(-1, 2, 4, (taps + more_taps) // TAP_BLOCK, TAP_BLOCK).transpose(0, 3, 2, 1, 4)
        self.weights = np.ascontiguousarray(blocks).reshape(padded.shape)
        return self

    def pointers(self) -> PreprocessFilter:
        return PreprocessFilter(self.first.ctypes.data, self.weights.ctypes.data, self.weights.shape[1])


class Plan:
    """The kernel's arguments for pictures of one layout and size.

    They compute ``reference.preprocess`` of samples that are scaled to 8 bits, transposed if ``turned``.
    """

    def __init__(
        self,
        layout: Layout,
        rows: Sequence[Filter],
        columns: Sequence[Filter],
        color: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        turned: bool = False,
    ) -> None:
        self._rows = [Table(filter) for filter in rows]
        self._columns = [Table(filter).in_groups() for filter in columns]
        luma, chroma = (each.begin * layout.sample_bytes for each in self._columns)
        self._offsets = (luma, 2 * chroma, 0) if layout.interleaved else (luma, chroma, chroma)
        height, width = len(rows[0].first), len(columns[0].first)
        self.shape = (3, width, height) if turned else (3, height, width)
        factors = np.array([1 / UNIT, 1 / UNIT, 1 / UNIT, 1])
        self.arguments = Preprocess(
            windows=tuple(each.end - each.begin for each in self._columns),
            sample_bytes=layout.sample_bytes,
            sample_shift=0 if layout.aligned_high else 16 - layout.bits,
            interleaved=layout.interleaved,
            rows=tuple(each.pointers() for each in self._rows),
            columns=tuple(each.pointers() for each in self._columns),
            height=height,
            width=width,
            color=tuple((ctypes.c_float * 4)(*channel) for channel in color * factors),
            low=tuple(low),
            high=tuple(high),
            turned=turned,
        )
        self.arguments.tables = self._rows, self._columns  # live as long as what points to them

    def bind(self, addresses: Sequence[int], strides: Sequence[int], out: np.ndarray) -> Preprocess:
        """The arguments for planes at ``addresses``, with ``strides`` bytes from a row to the next.

        ``out`` is of ``shape``, float32, float16 or int8, with pixels of a row next to each other.
        """
        arguments = self.arguments
        if out.shape != self.shape or out.strides[2] != out.itemsize:
            raise ValueError(f"the result is {out.shape} with steps {out.strides}, not rows of {self.shape}")
        for i, (address, stride) in enumerate(zip(addresses, strides)):
            arguments.planes[i] = address + self._offsets[i]
            arguments.strides[i] = stride
        arguments.out = out.ctypes.data
        arguments.output = OUTPUTS[out.dtype]
        arguments.channel_step, arguments.row_step = (step // out.itemsize for step in out.strides[:2])
        return arguments


def load(library: Path) -> Callable[[Preprocess], None]:
    """The kernel of the built library: it runs arguments, or raises ``ValueError`` with the reason."""
    function = ctypes.CDLL(str(library)).edgevid_preprocess
    function.restype = ctypes.c_char_p

    def run(arguments: Preprocess) -> None:
        reason = function(ctypes.byref(arguments))
        if reason is not None:
            raise ValueError(reason.decode())

    return run

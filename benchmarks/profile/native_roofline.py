"""Copy and read bandwidth and the peak rate of MACs, by a small C++ library that is compiled here."""

from __future__ import annotations

import ctypes
import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from edgevid.errors import BenchmarkError
from edgevid.host.cache import cache_folder
from edgevid.host.processor import describe_cpu
from edgevid.kernels.common.standalone import compile

MIN_SAMPLE_MS = 20.0
"""Shorter work is repeated within a sample, so that starting and joining threads does not dominate."""
STEPS, PEAK_SAMPLES = 1_000_000, 40
"""A run takes a millisecond or two."""


class Roofline:
    """Bandwidth and peak MACs of ``threads`` threads with one instruction set, by default the best.

    Raises ``BenchmarkError`` if no instruction set can be compiled for here.
    """

    def __init__(self, isa: str | None, threads: int) -> None:
        instruction_sets = describe_cpu()[0]["instruction_sets"]
        reasons = {
            name: compile.why_not(name, instruction_sets) for name in ([isa] if isa else compile.CPU_FLAGS)
        }
        usable = [name for name, reason in reasons.items() if reason is None]
        if not usable:
            raise BenchmarkError(f"no kernel can be measured: {'; '.join(filter(None, reasons.values()))}")
        self.isa, self.threads = usable[0], threads
        self.library = _library(self.isa)
        self.library.multiply_on_threads.restype = ctypes.c_int64
        self._results = np.full(1 + threads, 0.5, np.float32)

    def copy(self, to: np.ndarray, source: np.ndarray) -> Callable[[int], None]:
        """A function that repeats a copy; the caller keeps both arrays alive."""
        pointers = ctypes.c_void_p(to.ctypes.data), ctypes.c_void_p(source.ctypes.data)
        counts = ctypes.c_int64(source.size), ctypes.c_int64(self.threads)
        return lambda repeats: self.library.copy_on_threads(*pointers, *counts, ctypes.c_int64(repeats))

    def read(self, source: np.ndarray) -> Callable[[int], None]:
        """A function that repeats the reading of ``source``, which the caller keeps alive."""
        pointers = ctypes.c_void_p(source.ctypes.data), ctypes.c_void_p(self._results.ctypes.data)
        counts = ctypes.c_int64(source.size), ctypes.c_int64(self.threads)
        return lambda repeats: self.library.read_on_threads(
            pointers[0], *counts, ctypes.c_int64(repeats), pointers[1]
        )

    def peak_gmacs(self) -> float:
        """MACs per nanosecond of all threads, the best of many short runs: others need the cores as well."""
        best, results = 0.0, ctypes.c_void_p(self._results.ctypes.data)
        for _ in range(PEAK_SAMPLES):
            self._results[0] = 0.5
            start = time.perf_counter_ns()
            macs = self.library.multiply_on_threads(
                ctypes.c_int64(STEPS), ctypes.c_int64(self.threads), results
            )
            best = max(best, macs * self.threads / (time.perf_counter_ns() - start))
        return best


def _library(isa: str) -> ctypes.CDLL:
    """The library for an instruction set, cached by its command and by the files that it consists of."""
    folder = compile.KERNELS / "common"
    sources = [*(folder / "standalone").iterdir(), *(folder / "ort").glob("*.h")]
    state = hashlib.sha256("".join(compile.command([compile.ROOFLINE], isa, folder)).encode())
    for path in sorted(path for path in sources if path.suffix in (".cpp", ".h")):
        state.update(path.read_bytes())
    name = f"roofline-{isa}-{state.hexdigest()[:16]}.so"
    return compile.library([compile.ROOFLINE], isa, cache_folder() / name)


def aligned(shape: Sequence[int]) -> np.ndarray:
    """Random floats, aligned to 64 bytes as a runtime's allocator does."""
    count = int(np.prod(shape))
    raw = np.random.default_rng(0).standard_normal(count + 16, dtype=np.float32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start : start + count].reshape(shape)


def repeats_of(run: Callable[[int], None]) -> int:
    """The number of runs, a multiple of its copies, that take at least ``MIN_SAMPLE_MS``."""
    repeats = copies = getattr(run, "copies", 1)
    while True:
        run(repeats)  # warm
        start = time.perf_counter_ns()
        run(repeats)
        took_ms = (time.perf_counter_ns() - start) / 1e6
        if took_ms >= MIN_SAMPLE_MS:
            return repeats
        repeats = copies * max(
            2 * repeats // copies, round(repeats / copies * MIN_SAMPLE_MS / max(took_ms, 1e-3))
        )

"""Copy and read bandwidth and the peak rate of MACs, by a small C++ library that is compiled here."""

from __future__ import annotations

import ctypes
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from edgevid.errors import BenchmarkError
from edgevid.host.cache import cache_folder
from edgevid.host.processor import describe_cpu
from edgevid.kernels.common.standalone import compile

MIN_SAMPLE_MS = 20.0
"""Shorter work is repeated within a sample, so that starting and joining threads does not dominate."""
STEPS, PEAK_SAMPLES = 300_000, 100
"""A run takes about a millisecond."""


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
        self.isa, self.threads, self._sets = usable[0], threads, set(instruction_sets or ())
        self.library = _library(compile.ROOFLINE, self.isa)
        self._results = np.zeros(1 + threads, np.float32)

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
        return self._peak(self.library.multiply_on_threads, np.full(1 + self.threads, 0.5, np.float32))

    def int8_peak_gmacs(self) -> float:
        """The same of int8. Raises ``BenchmarkError`` or ``RuntimeError`` where that is not known."""
        flags = self._int8_flags()
        if flags is None:
            raise BenchmarkError("this processor's widest instruction for int8 is not measured")
        multiply = _library(compile.ROOFLINE_INT8, self.isa, *flags).multiply_int8_on_threads
        return self._peak(multiply, np.ones(1 + self.threads, np.int32))

    def _int8_flags(self) -> tuple[str, ...] | None:
        """The flags that choose the instruction with the most products; None if it is not written here."""
        if self._sets & {"amx_int8", "i8mm"}:
            return None
        if self.isa == "avx512" and "avx512_vnni" in self._sets:
            return ("-DEDGEVID_AVX512_VNNI",)
        if self.isa == "avx2" and "avx_vnni" in self._sets:
            return ("-DEDGEVID_AVX_VNNI",)
        if "asimddp" in self._sets:
            return ("-march=armv8.2-a+dotprod", "-DEDGEVID_DOT")
        return () if self.isa in ("avx512", "avx2") else None

    def _peak(self, multiply: Any, results: np.ndarray) -> float:
        multiply.restype, best, factor = ctypes.c_int64, 0.0, results[0]
        # Where other programs have the other cores, one thread may do more than all do.
        for threads in {self.threads, 1}:
            for _ in range(PEAK_SAMPLES):
                results[0] = factor
                arguments = ctypes.c_int64(STEPS), ctypes.c_int64(threads)
                start = time.perf_counter_ns()
                macs = multiply(*arguments, ctypes.c_void_p(results.ctypes.data))
                best = max(best, macs * threads / (time.perf_counter_ns() - start))
        return best


def _library(file: str, isa: str, *flags: str) -> ctypes.CDLL:
    """The library of a file for an instruction set, cached by its command and all files that it reads."""
    folder = compile.KERNELS / "common"
    sources = [*(folder / "standalone").iterdir(), *(folder / "ort").glob("*.h")]
    state = hashlib.sha256("".join(compile.command([file], isa, folder, *flags)).encode())
    for path in sorted(path for path in sources if path.suffix in (".cpp", ".h")):
        state.update(path.read_bytes())
    name = f"{PurePath(file).stem}-{isa}-{state.hexdigest()[:16]}.so"
    return compile.library([file], isa, cache_folder() / name, *flags)


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

"""This machine's measured limits, and the shortest time in which a layer could be done within them.

Williams, Waterman and Patterson, "Roofline", Communications of the ACM 2009. Bandwidth is measured for the
bytes of a layer, from a buffer that is used again and again: what fits into a cache is in it, as it may be in
a network where the layer before has just written it.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevid.errors import BenchmarkError

SIZES = tuple(1 << power for power in range(14, 28, 2))
"""Bytes that are moved, from caches to memory: 16 KiB to 64 MiB."""
SAMPLES, SAMPLE_BYTES = 10, 1 << 25
"""Many short samples, of which the best counts: others may need the cores as well."""
NATIVE = "compiled loops: multiply-adds in registers, memcpy, and sums of what is read"
PORTABLE = (
    "no C++ compiler was found, so the peak is that of ONNX Runtime's MatMul and the bandwidth that of "
    "NumPy's copies and maxima; a layer may be a little faster"
)
INT8_BY_MATMUL = "; the int8 peak is that of ONNX Runtime's MatMulInteger"
COMPUTE, MEMORY = "compute", "memory"


@dataclass(frozen=True)
class Limits:
    """What ``threads`` threads reach: ``copy_gb_s[i]`` and ``read_gb_s[i]`` are for ``sizes[i]`` bytes.

    A copied byte counts twice, as it is read and written. ``peak_gmacs`` is by arithmetic: ``fp32``, and
    ``int8`` if a layer needs it.
    """

    threads: int
    isa: str | None
    method: str
    peak_gmacs: dict[str, float]
    sizes: tuple[int, ...]
    copy_gb_s: tuple[float, ...]
    read_gb_s: tuple[float, ...]

    def fields(self) -> dict[str, Any]:
        return asdict(self)

    def compute_ms(self, macs: int, arithmetic: str) -> float:
        """The time of ``macs`` at the peak rate."""
        return macs / self.peak_gmacs[arithmetic] / 1e6

    def memory_ms(self, read: int, written: int) -> float:
        """The time to move the bytes: what is both read and written as a copy, the rest as a read."""
        total = read + written
        copied = 2 * min(read, written)
        copy_gb_s = _at(total, self.sizes, self.copy_gb_s)
        # What is only written takes no longer than a copy of as many bytes.
        rest_gb_s = _at(total, self.sizes, self.read_gb_s) if read > written else copy_gb_s
        return copied / copy_gb_s / 1e6 + (total - copied) / max(rest_gb_s, copy_gb_s) / 1e6

    def bound(self, macs: int | None, arithmetic: str, read: int, written: int) -> tuple[float, str | None]:
        """The shortest possible milliseconds, and whether ``compute`` or ``memory`` takes them; 0 and None
        for no work."""
        compute_ms = self.compute_ms(macs or 0, arithmetic)
        memory_ms = self.memory_ms(read, written) if read + written else 0.0
        longest = max(compute_ms, memory_ms)
        if not longest:
            return 0.0, None
        return longest, COMPUTE if compute_ms >= memory_ms else MEMORY


def measure(threads: int, with_int8: bool = False) -> Limits:
    """Measure the limits of ``threads`` threads, in about two seconds."""
    from edgevid.benchmarks.profile import native_roofline

    try:
        native = native_roofline.Roofline(None, threads)
    except (BenchmarkError, RuntimeError, OSError):
        limits = _portable(threads)
    else:
        copy, read = [], []
        for size in SIZES:
            count = size // 8
            source, target = (native_roofline.aligned((count,)) for _ in range(2))
            copy.append(_gb_s(native.copy(target, source), size))
            whole = native_roofline.aligned((2 * count,))
            read.append(_gb_s(native.read(whole), size))
        peaks = {"fp32": native.peak_gmacs()}
        if with_int8:
            with contextlib.suppress(BenchmarkError, RuntimeError, OSError):
                peaks["int8"] = native.int8_peak_gmacs()
        limits = Limits(threads, native.isa, NATIVE, peaks, SIZES, tuple(copy), tuple(read))
    if not with_int8 or "int8" in limits.peak_gmacs:
        return limits
    from edgevid.backends.onnxruntime.profile.matmul import peak_gmacs

    peaks = {**limits.peak_gmacs, "int8": peak_gmacs(threads, int8=True)}
    fields = {**vars(limits), "peak_gmacs": peaks, "method": limits.method + INT8_BY_MATMUL}
    return Limits(**fields)


def _portable(threads: int) -> Limits:
    from edgevid.backends.onnxruntime.profile.matmul import peak_gmacs

    copy, read = [], []
    with ThreadPoolExecutor(threads) as pool:

        def on_threads(work: Callable[..., Any], *arrays: np.ndarray) -> Callable[[int], None]:
            parts = zip(*(np.array_split(array, threads) for array in arrays))
            return functools.partial(_repeated, pool, work, tuple(parts))

        for size in SIZES:
            source, target = np.ones(size // 8, np.float32), np.ones(size // 8, np.float32)
            copy.append(_gb_s(on_threads(np.copyto, target, source), size))
            read.append(_gb_s(on_threads(np.max, np.ones(size // 4, np.float32)), size))
    peaks = {"fp32": peak_gmacs(threads)}
    return Limits(threads, None, PORTABLE, peaks, SIZES, tuple(copy), tuple(read))


def _repeated(
    pool: ThreadPoolExecutor, work: Callable[..., Any], parts: tuple[Any, ...], repeats: int
) -> None:
    def repeat(part: tuple[np.ndarray, ...]) -> None:
        for _ in range(repeats):
            work(*part)

    list(pool.map(repeat, parts))


def _gb_s(run: Callable[[int], None], size: int) -> float:
    """The best rate of several samples, in bytes per nanosecond, of work that moves ``size`` bytes."""
    repeats, best = max(1, SAMPLE_BYTES // size), 0.0
    for _ in range(SAMPLES):
        start = time.perf_counter_ns()
        run(repeats)
        best = max(best, repeats * size / (time.perf_counter_ns() - start))
    return best


def _at(size: int, sizes: tuple[int, ...], values: tuple[float, ...]) -> float:
    """The value for ``size``, between the measured ones by the logarithm of the size."""
    return float(np.interp(np.log(max(size, 1)), np.log(sizes), values))

"""Time kernels against roofline bounds and against ONNX Runtime, interleaved in one run."""

from __future__ import annotations

import ctypes
import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.benchmarks.experiments.study import Study, interleave, require_equal, wall_ms
from edgevid.errors import BenchmarkError
from edgevid.host.processor import describe_cpu
from edgevid.kernels.common.standalone import compile

TOLERANCE = 1e-5
MIN_SAMPLE_MS = 20.0
"""Shorter work is repeated within a sample, so that starting and joining threads does not dominate."""


def kernel_study(description: str) -> Study:
    study = Study(description, rounds=30)
    study.parser.add_argument(
        "--isa", choices=compile.CPU_FLAGS, help="instruction set (default: the best one)"
    )
    return study


class Roofline:
    """Copy bandwidth and peak MACs of ``threads`` threads with one instruction set, by default the best."""

    def __init__(self, isa: str | None, threads: int) -> None:
        instruction_sets = describe_cpu()[0]["instruction_sets"]
        reasons = {
            name: compile.why_not(name, instruction_sets) for name in ([isa] if isa else compile.CPU_FLAGS)
        }
        usable = [name for name, reason in reasons.items() if reason is None]
        if not usable:
            raise BenchmarkError(f"no kernel can be measured: {'; '.join(filter(None, reasons.values()))}")
        self.isa, self.threads = usable[0], threads
        with tempfile.TemporaryDirectory() as folder:
            self.library = compile.library([compile.ROOFLINE], self.isa, Path(folder) / "roofline.so")
        self.library.multiply_on_threads.restype = ctypes.c_int64

    def copy(self, to: np.ndarray, source: np.ndarray) -> Callable[[int], None]:
        """A function that repeats a copy; the caller keeps both arrays alive."""
        pointers = ctypes.c_void_p(to.ctypes.data), ctypes.c_void_p(source.ctypes.data)
        counts = ctypes.c_int64(source.size), ctypes.c_int64(self.threads)
        return lambda repeats: self.library.copy_on_threads(*pointers, *counts, ctypes.c_int64(repeats))

    def peak_gmacs(self) -> float:
        """MACs per nanosecond of all threads, the best of five."""
        best, result = 0.0, np.full(1 + self.threads, 0.5, np.float32)
        for _ in range(5):
            start = time.perf_counter_ns()
            macs = self.library.multiply_on_threads(
                ctypes.c_int64(2_000_000), ctypes.c_int64(self.threads), ctypes.c_void_p(result.ctypes.data)
            )
            best = max(best, macs * self.threads / (time.perf_counter_ns() - start))
        return best


class Kernel(Roofline):
    """The library of an op, compiled for one instruction set, and its roofline."""

    def __init__(self, op: str, isa: str | None, threads: int) -> None:
        super().__init__(isa, threads)
        with tempfile.TemporaryDirectory() as folder:
            self.op = compile.kernel(op, self.isa, Path(folder))

    def run(self, conv: ctypes.Structure) -> Callable[[int], None]:
        threads = ctypes.c_int64(self.threads)
        return lambda repeats: self.op.run_on_threads(ctypes.byref(conv), threads, ctypes.c_int64(repeats))


def aligned(shape: Sequence[int]) -> np.ndarray:
    """Random floats, aligned to 64 bytes as a runtime's allocator does."""
    count = int(np.prod(shape))
    raw = np.random.default_rng(0).standard_normal(count + 16, dtype=np.float32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start : start + count].reshape(shape)


class OnnxRuntime:
    """Runs of an ONNX model with input ``x`` and preallocated outputs.

    ``copies`` of the op in the model share a session's fixed overhead; each counts as a repeat.
    """

    def __init__(self, model: Any, x: np.ndarray, threads: int, copies: int = 1) -> None:
        import onnxruntime as ort

        options = session_options(threads)
        # Spinning threads would take a core from the candidate that is measured next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = cpu_session(model.SerializeToString(), options)
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
        for output in self.session.get_outputs():
            memory = ort.OrtValue.ortvalue_from_numpy(aligned(output.shape))
            self.binding.bind_ortvalue_output(output.name, memory)
        self.copies = copies

    def __call__(self, repeats: int) -> None:
        for _ in range(-(-repeats // self.copies)):
            self.session.run_with_iobinding(self.binding)

    def check(self, y: np.ndarray) -> None:
        """Raise ``BenchmarkError`` if the first output is not ``y``."""
        self(1)
        expected = self.binding.copy_outputs_to_cpu()[:1]
        require_equal("the kernel", [y], "ONNX Runtime", expected, TOLERANCE)


def interleaved(candidates: dict[str, Callable[[int], None]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of one run of each candidate; a sample repeats short runs."""
    repeated = {name: (run, repeats_of(run)) for name, run in candidates.items()}
    return interleave(repeated, rounds, clock=_repeated_ms)


def _repeated_ms(candidate: tuple[Callable[[int], None], int]) -> float:
    run, repeats = candidate
    return wall_ms(lambda: run(repeats)) / repeats


def repeats_of(run: Callable[[int], None]) -> int:
    """The number of runs, a multiple of its copies, that take at least ``MIN_SAMPLE_MS``."""
    repeats = copies = getattr(run, "copies", 1)
    while True:
        run(repeats)  # warm
        took_ms = wall_ms(functools.partial(run, repeats))
        if took_ms >= MIN_SAMPLE_MS:
            return repeats
        repeats = copies * max(
            2 * repeats // copies, round(repeats / copies * MIN_SAMPLE_MS / max(took_ms, 1e-3))
        )

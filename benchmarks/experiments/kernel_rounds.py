"""Time kernels against roofline bounds and against ONNX Runtime, interleaved in one run."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.benchmarks.experiments.study import Study, interleave, require_equal, wall_ms
from edgevid.benchmarks.profile.native_roofline import Roofline, aligned, repeats_of
from edgevid.kernels.common.standalone import compile

TOLERANCE = 1e-5


def kernel_study(description: str) -> Study:
    study = Study(description, rounds=30)
    study.parser.add_argument(
        "--isa", choices=compile.CPU_FLAGS, help="instruction set (default: the best one)"
    )
    return study


class Kernel(Roofline):
    """The library of an op, compiled for one instruction set, and its roofline."""

    def __init__(self, op: str, isa: str | None, threads: int) -> None:
        super().__init__(isa, threads)
        with tempfile.TemporaryDirectory() as folder:
            self.op = compile.kernel(op, self.isa, Path(folder))

    def run(self, conv: ctypes.Structure) -> Callable[[int], None]:
        threads = ctypes.c_int64(self.threads)
        return lambda repeats: self.op.run_on_threads(ctypes.byref(conv), threads, ctypes.c_int64(repeats))


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

"""Counts of instructions by callgrind, valgrind's tool that runs a program on a simulated processor.

A count depends on no other load, and two of the same program differ by a few in ten millions. The simulated
processor has AVX2 and no AVX-512, so ONNX Runtime and edgevid's kernels take their code for AVX2.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevid.benchmarks.regress import counted
from edgevid.errors import BenchmarkError
from edgevid.host import commands
from edgevid.host.processor import processor_flags

OPTIONS = (
    "--quiet", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no", "--compress-strings=no",
    "--compress-pos=no",
)  # fmt: skip
FIXED = {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Variables of the counted process, so that each takes the same way."""
LIMIT_S = 1200.0
KERNEL = re.compile(
    r"Registration<(?:[\w<>]+::|\(anonymous namespace\)::)*(\w+?)(?:Op)?(?:<[^>]*>)? ?>::compute"
)
"""The function by which ONNX Runtime enters one of edgevid's kernels (``kernels/common/ort/registry.h``)."""


@dataclass(frozen=True)
class Counts:
    """The instructions of one inference: in all, and in each kernel with what it calls."""

    total: int
    kernels: Mapping[str, int]


def count(bundle: Path, variables: Mapping[str, str] | None = None) -> Counts:
    """Count the instructions of one inference of ``bundle`` on one thread, in a process of its own.

    ``variables`` are added to its environment. Raises ``BenchmarkError`` without valgrind, or if the process
    fails.
    """
    environment = {**os.environ, **FIXED, **(variables or {})}
    environment.pop("EDGEVID_ISA", None)  # of the simulated processor, the kernels take the best
    with tempfile.TemporaryDirectory(prefix="edgevid-callgrind-") as folder:
        output = Path(folder) / "counts"
        command = [
            *_valgrind(),
            f"--callgrind-out-file={output}",
            sys.executable,
            "-c",
            _source(),
            str(bundle.absolute()),
        ]
        try:
            process = subprocess.run(
                command,
                cwd=folder,  # Python's path begins with it
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(
                f"one inference of '{bundle}' under valgrind takes longer than {LIMIT_S / 60:.0f} minutes: "
                "export it with fewer frames, or a smaller size"
            ) from None
        if process.returncode or not output.is_file():
            raise BenchmarkError(_reason(bundle, process))
        with output.open(errors="replace") as lines:
            counts = read(lines)
    if not counts.total:
        raise BenchmarkError(f"{version()} counted nothing of '{bundle}': use valgrind 3.19 or newer")
    return counts


def read(lines: Iterable[str]) -> Counts:
    """The counts in callgrind's file. Source: "Callgrind Format Specification" of valgrind's manual.

    A line ``cfn=NAME`` and one ``calls=...`` precede a line whose last number is the cost of these calls.
    """
    total, kernels = 0, dict[str, int]()
    kernel, is_cost_of_call = "", False
    for line in lines:
        if is_cost_of_call and kernel:
            kernels[kernel] = kernels.get(kernel, 0) + int(line.split()[-1])
        is_cost_of_call = line.startswith("calls=")
        if line.startswith("cfn="):
            match = KERNEL.search(line)
            kernel = match.group(1) if match else ""
        elif line.startswith("totals:"):
            total = int(line.split()[1])
    return Counts(total, kernels)


def version() -> str:
    """Such as ``valgrind-3.19.0``."""
    return commands.run(["valgrind", "--version"]).output


def notes() -> list[str]:
    """What a count on this machine does not cover."""
    if "avx512f" not in processor_flags():
        return []
    return ["counted on AVX2, since valgrind has no AVX-512: what runs on AVX-512 alone is not covered"]


def _valgrind() -> list[str]:
    if platform.machine() not in counted.REQUEST:
        raise BenchmarkError(
            f"instructions are counted on {' and '.join(counted.REQUEST)}, not on {platform.machine()}: "
            "compare times, without --instructions"
        )
    if shutil.which("valgrind") is None:
        raise BenchmarkError(
            "instructions are counted by valgrind, which is not installed: install it (Debian: apt install "
            "valgrind)"
        )
    # Addresses that are the same each time; containers may forbid it.
    same_addresses = ["setarch", "-R"] if commands.run(["setarch", "-R", "true"]).ok else []
    return [*same_addresses, "valgrind", *OPTIONS]


def _source() -> str:
    return Path(counted.__file__).read_text("utf-8")


def _reason(bundle: Path, process: subprocess.CompletedProcess[str]) -> str:
    lines = process.stderr.strip().splitlines()
    if own := [line for line in lines if line.startswith("edgevid: ")]:
        return own[-1].removeprefix("edgevid: ")
    if -process.returncode == signal.SIGILL or "unhandled instruction" in process.stderr:
        return (
            f"'{bundle}' has instructions that valgrind does not know, as code compiled for AVX-512 has: "
            "compare times, without --instructions"
        )
    last_line = f": {lines[-1].strip()}" if lines else ""
    return f"valgrind cannot run '{bundle}' (exit status {process.returncode}){last_line}"

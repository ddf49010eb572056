"""Kernels that are slower by a known time: a copy of the package whose ShiftConv waits before it computes."""

from __future__ import annotations

import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import edgevid
from edgevid.benchmarks.harness.turns import measure_in_turns, turn_ratios
from edgevid.errors import BenchmarkError

SLOWDOWN = 0.03
PACKAGES = ("kernels", "benchmarks", "targets")
SOURCE = "kernels/shift_conv/op.cpp"
COMPUTE = "void compute(const ort::Context& context) const {\n"
WAIT = """
#include <chrono>
static void planted_wait() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(%d);
  while (std::chrono::steady_clock::now() < end) {
  }
}
"""


class PlantedKernels:
    """As a context, measures ``bundle`` with kernels of which each inference takes ``extra_ms`` longer.

    Both sides run from a copy of the package in a temporary folder, so that they differ in the wait alone.
    ``pauses`` is the number of waits per inference.
    """

    def __init__(self, bundle: Path, threads: int, extra_ms: float) -> None:
        self._bundle, self._threads = bundle, threads
        self.pauses = sum(int(name.split(" x")[1]) for name in _kernels(bundle) if "ShiftConv" in name)
        if not self.pauses:
            raise BenchmarkError(f"no ShiftConv runs in '{bundle}': pass a bundle of a network with shifts")
        self._wait_ns = round(1e6 * extra_ms / self.pauses)

    def __enter__(self) -> PlantedKernels:
        self._folder = tempfile.TemporaryDirectory(prefix="edgevid-planted-")
        self._slower, self._unchanged = (
            _copy_package(Path(self._folder.name) / name) for name in ("slower", "unchanged")
        )
        source = self._slower / "edgevid" / SOURCE
        text = source.read_text()
        if COMPUTE not in text:
            raise BenchmarkError(f"{SOURCE} has no compute function to slow down")
        text = text.replace(COMPUTE, f"{COMPUTE}    planted_wait();\n")
        source.write_text(re.sub(r'(#include "op.h"\n)', rf"\1{WAIT % self._wait_ns}", text))
        for package in (self._slower, self._unchanged):  # compiles the kernels: one after the other
            code = f"import edgevid; edgevid.open({str(self._bundle)!r})"
            subprocess.run(_python(package, code), check=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def ratios(self, pairs: int, seconds: float, draw: random.Random) -> list[float]:
        """Slower / unchanged of each of ``pairs`` pairs of processes, as ``edgevid regress`` takes it."""
        workers = [_worker(self._unchanged), _worker(self._slower)]
        results = (
            measure_in_turns([self._bundle] * 2, seconds, self._threads, draw, workers) for _ in range(pairs)
        )
        return [statistics.median(turn_ratios(*pair)) for pair in results]


def _worker(package: Path) -> tuple[str, ...]:
    return _python(package, "from edgevid.benchmarks.harness.worker import main; sys.exit(main())")


def _python(package: Path, code: str) -> tuple[str, ...]:
    # The path comes first, before an editable installation.
    return (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(package)!r}); {code}")


def _kernels(bundle: Path) -> tuple[str, ...]:
    return edgevid.open(bundle).kernels


def _copy_package(folder: Path) -> Path:
    """Copy edgevid's packages into ``folder``, which goes on Python's path."""
    root = Path(edgevid.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root, folder / "edgevid", ignore=ignore, dirs_exist_ok=True)
    for name in PACKAGES:
        package = __import__(f"edgevid.{name}", fromlist=["__path__"])
        destination = folder / "edgevid" / name
        if not destination.exists():
            shutil.copytree(next(iter(package.__path__)), destination, ignore=ignore)
    os.sync()
    return folder

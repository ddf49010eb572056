"""Kernels that are slower by a known share: a copy of the package whose ShiftConv waits when it has computed.

The wait is a factor of the time that the kernel just took, so it keeps its share of the inference when the
machine's speed changes. The kernel itself adds up its waits, in a file: what was planted is known, and not
inferred from a measurement.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import edgevid
from edgevid.benchmarks.harness.turns import measure_in_turns, turn_ratios
from edgevid.errors import BenchmarkError

PACKAGES = ("kernels", "benchmarks", "targets")
BODIES = {
    "kernels/shift_conv/op.cpp": "void compute(const ort::Context& context) const {\n",
    "kernels/shift_conv_depthwise/op.cpp": "const ort::Tensor& state, size_t weights) const {\n",
}
"""Where the functions that compute begin."""
FACTOR, WAITS = "EDGEVID_PLANTED_FACTOR", "EDGEVID_PLANTED_WAITS"
PLANT = """
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace planted {
inline const double factor = std::atof(std::getenv("EDGEVID_PLANTED_FACTOR"));
inline long long* const waits = [] {
  const int file = open(std::getenv("EDGEVID_PLANTED_WAITS"), O_RDWR);
  return static_cast<long long*>(mmap(nullptr, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
}();
inline long long now() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}
struct Wait {
  const long long begin = now();
  ~Wait() {
    const long long computed = now(), end = computed + static_cast<long long>(factor * (computed - begin));
    long long waited = computed;
    while (waited < end) waited = now();
    waits[0] += waited - computed;
    waits[1] += 1;
  }
};
}  // namespace planted
"""


class PlantedKernels:
    """As a context, makes workers for ``bundle`` whose kernels wait."""

    def __init__(self, bundle: str | Path, threads: int) -> None:
        self._bundle, self._threads = bundle, threads
        self._waits: list[Path] = []

    def __enter__(self) -> PlantedKernels:
        self._folder = tempfile.TemporaryDirectory(prefix="edgevid-planted-")
        self._package = Path(self._folder.name) / "package"
        _copy_package(self._package)
        for name, body in BODIES.items():
            source = self._package / "edgevid" / name
            text = source.read_text()
            if body not in text:
                raise BenchmarkError(f"{name} has no function to slow down")
            text = text.replace(body, f"{body}    const planted::Wait wait;\n")
            source.write_text(re.sub(r'(?m)^(#include ".*op\.h")$', rf"\1\n{PLANT}", text, count=1))
        # The first compiles them and tries them out; the difference of the others is one inference.
        _, before, after = (self._calls_of(inferences) for inferences in (1, 1, 2))
        self._calls = after - before
        if not self._calls:
            raise BenchmarkError(
                f"no ShiftConv runs in '{self._bundle}': pass a bundle of a network with shifts"
            )
        self._share = 1.0
        # The share of the kernels; then that of short waits, which hide some of what memory still does.
        for slowdown, pairs in ((1.0, 5), (0.03, 20)):
            seen = statistics.median(self.ratios(slowdown, pairs, 0.5, random.Random(0))) - 1
            self._share *= seen / slowdown
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def worker(self, slowdown: float) -> tuple[str, ...]:
        """The command of a worker whose inferences take ``slowdown`` longer."""
        code = "from edgevid.benchmarks.harness.worker import main; sys.exit(main())"
        return self._python(slowdown / self._share, self._new_waits(), code)

    def ratios(self, slowdown: float, pairs: int, seconds: float, draw: random.Random) -> list[float]:
        """Slower / as it is, of each of ``pairs`` pairs of processes, as ``edgevid regress`` takes it."""
        ratios = []
        for _ in range(pairs):
            workers = [self.worker(0.0), self.worker(slowdown)]
            results = measure_in_turns([self._bundle] * 2, seconds, self._threads, draw, workers)
            ratios.append(statistics.median(turn_ratios(results[0], results[1])))
        return ratios

    def last_wait_ms(self) -> float:
        """What the worker that was made last has waited, per inference, in milliseconds."""
        waited_ns, calls = self._waited()
        return waited_ns / (calls / self._calls) / 1e6

    def _calls_of(self, inferences: int) -> int:
        session = f"edgevid.open({str(self._bundle)!r}, threads={self._threads})"
        code = f"import edgevid; step = {session}.prepare(); [step() for _ in range({inferences})]"
        subprocess.run(self._python(0.0, self._new_waits(), code), check=True)
        return self._waited()[1]

    def _waited(self) -> tuple[int, int]:
        """Nanoseconds and calls of the worker that was made last."""
        return struct.unpack("qq", self._waits[-1].read_bytes())

    def _new_waits(self) -> Path:
        self._waits.append(Path(self._folder.name) / f"waits{len(self._waits)}")
        self._waits[-1].write_bytes(bytes(16))
        return self._waits[-1]

    def _python(self, factor: float, waits: Path, code: str) -> tuple[str, ...]:
        # The path comes first, before an editable installation.
        code = f"import sys; sys.path.insert(0, {str(self._package)!r}); {code}"
        return ("env", f"{FACTOR}={factor}", f"{WAITS}={waits}", sys.executable, "-c", code)


def _copy_package(folder: Path) -> None:
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

"""Is the harness right? Its p50 against other ways to time the same inference, and its own cost.

``python -m edgevid.benchmarks.experiments.harness_truth BUNDLE [--rounds 12] [--seconds 2] [--json FILE]``

Each round runs, in an order that rotates, fresh processes: the harness, a bare loop, MLPerf's LoadGen
(SingleStream, x86-64 only), and, on the bundle's model of standard operators, the harness with OpenVINO as
its runtime and OpenVINO's ``benchmark_app``. Then the kernels are compared with ones that are slower by a
known time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edgevid.benchmarks.experiments.harness_peers import STANDARD_MODEL
from edgevid.benchmarks.experiments.planted import SLOWDOWN, PlantedKernels
from edgevid.benchmarks.experiments.study import Study, interleave, paired_ratio
from edgevid.benchmarks.harness.harness import measure
from edgevid.errors import BenchmarkError

PEERS = "edgevid.benchmarks.experiments.harness_peers"
BOUNDS = {"bare": 0.03, "loadgen": 0.03, "benchmark_app": 0.03}
OVERHEAD_US, OVERHEAD_MIB, SLOWDOWN_ERROR = 5.0, 5.0, 0.01


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=12)
    study.parser.add_argument("bundle", help="a bundle for this machine")
    study.parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (2)")
    study.run(lambda options: measure_all(study, options))


def measure_all(study: Study, options: argparse.Namespace) -> None:
    bundle = Path(options.bundle)
    harness = Harness(bundle, options)
    candidates: dict[str, Callable[[], float]] = {"harness": harness.p50_ms, "bare": harness.bare_p50_ms}
    if importlib.util.find_spec("mlperf_loadgen"):
        candidates["loadgen"] = lambda: harness.peer("loadgen")["p50_ms"]
    if (bundle / STANDARD_MODEL).exists() and shutil.which(_benchmark_app()):
        candidates["harness, OpenVINO"] = harness.openvino_p50_ms
        candidates["benchmark_app"] = harness.benchmark_app_p50_ms
    samples = interleave(candidates, options.rounds, clock=lambda run: run())
    study.add("p50_ms", samples)
    for name, bound in BOUNDS.items():
        if name in samples:
            over = "harness, OpenVINO" if name == "benchmark_app" else "harness"
            ratio = paired_ratio(samples[over], samples[name])
            print(f"p50 of the {over} / {name}: {ratio} (bound: 1 ± {bound})", flush=True)
    print(f"overhead: {statistics.median(harness.overhead_us):.2f} us per inference (bound: {OVERHEAD_US:g})")
    memory = statistics.median(harness.peak_mib) - statistics.median(harness.bare_peak_mib)
    print(f"memory: {memory:.2f} MiB above a bare loop (bound: {OVERHEAD_MIB:g})")
    study.add("overhead_us", harness.overhead_us)
    study.add("peak_mib", {"harness": harness.peak_mib, "bare": harness.bare_peak_mib})
    planted_slowdown(study, bundle, options, statistics.median(samples["harness"]))


def planted_slowdown(study: Study, bundle: Path, options: argparse.Namespace, p50_ms: float) -> None:
    """Kernels that take 3 % of the inference longer, as the harness sees them."""
    with PlantedKernels(bundle, options.threads, SLOWDOWN * p50_ms) as planted:
        samples = interleave(
            {"slower": planted.p50_ms, "as they are": planted.unchanged_p50_ms},
            2 * options.rounds,
            clock=lambda run: run(options.seconds),
        )
    ratio = paired_ratio(samples["slower"], samples["as they are"])
    study.add("planted slowdown", samples, planted=SLOWDOWN, pauses=planted.pauses)
    print(f"kernels slower by {SLOWDOWN:.1%}: {ratio} (bound: {1 + SLOWDOWN:g} ± {SLOWDOWN_ERROR:g})")


class Harness:
    """The candidates; what they tell besides a p50 is kept."""

    def __init__(self, bundle: Path, options: argparse.Namespace) -> None:
        self._bundle, self._seconds, self._threads = bundle, options.seconds, options.threads
        self.overhead_us: list[float] = []
        self.peak_mib: list[float] = []
        self.bare_peak_mib: list[float] = []

    def p50_ms(self) -> float:
        result = measure(self._bundle, "single-stream", self._seconds, self._threads)
        self.overhead_us.append(result["harness_overhead_us"])
        self.peak_mib.append(result["memory_mib"]["peak"])
        return result["latency_ms"]["p50"]

    def bare_p50_ms(self) -> float:
        result = self.peer("bare")
        self.bare_peak_mib.append(result["peak_mib"])
        return result["p50_ms"]

    def openvino_p50_ms(self) -> float:
        worker = (sys.executable, "-m", PEERS, "openvino")
        result = measure(self._bundle, "single-stream", self._seconds, self._threads, worker=worker)
        return result["latency_ms"]["p50"]

    def peer(self, kind: str) -> dict[str, float]:
        command = [sys.executable, "-m", PEERS, kind, self._bundle, str(self._seconds), str(self._threads)]
        return json.loads(_output(command).splitlines()[-1])

    def benchmark_app_p50_ms(self) -> float:
        command = [
            _benchmark_app(), "-m", str(self._bundle / STANDARD_MODEL), "-d", "CPU", "-api", "sync", "-hint",
            "none", "-nstreams", "1", "-nthreads", str(self._threads), "-infer_precision", "f32", "-t",
            str(max(1, round(self._seconds))),
        ]  # fmt: skip
        match = re.search(r"Median:\s*([\d.]+) ms", _output(command))
        if match is None:
            raise BenchmarkError("benchmark_app printed no median")
        return float(match[1])


def _benchmark_app() -> str:
    return str(Path(sys.executable).with_name("benchmark_app"))


def _output(command: list[str]) -> str:
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise BenchmarkError(f"{command[0]} failed: {(process.stderr or process.stdout).strip()[-300:]}")
    return process.stdout


if __name__ == "__main__":
    main()

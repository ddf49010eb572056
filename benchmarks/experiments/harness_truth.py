"""Is the harness right? Its p50 against other ways to time the same inference, and its own cost.

``python -m edgevid.benchmarks.experiments.harness_truth BUNDLE [--rounds 12] [--seconds 2] [--json FILE]``

What is compared takes turns, so that the machine's speed, which others on it change, is the same for both:
in one process the harness, a bare loop and MLPerf's LoadGen (SingleStream, x86-64 only); on the bundle's
model of standard operators the harness with OpenVINO as its runtime, and OpenVINO's ``benchmark_app``, which
is stopped while it waits; and the kernels with ones that are slower by a known time. Each round has fresh
processes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from edgevid.benchmarks.experiments.harness_peers import STANDARD_MODEL
from edgevid.benchmarks.experiments.planted import PlantedKernels
from edgevid.benchmarks.experiments.study import Study, paired_ratio
from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.harness.process import WorkerProcess
from edgevid.benchmarks.harness.protocol import Request
from edgevid.benchmarks.harness.turns import BEGIN, measure_in_turns, turn_ratios
from edgevid.errors import BenchmarkError
from edgevid.host.affinity import allowed, pinned_to, placement

PEERS = (sys.executable, "-m", "edgevid.benchmarks.experiments.harness_peers")
BENCHMARK_APP = Path(sys.executable).with_name("benchmark_app")
BOUND, OVERHEAD_US, OVERHEAD_MIB, SLOWDOWN_ERROR = 0.03, 5.0, 5.0, 0.01
SLOWDOWN = 0.03
APP_TURN_S = 0.1
APP_MEASURES = b"[Step 10/11]"


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=12)
    study.parser.add_argument("bundle", help="a bundle for this machine")
    study.parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (2)")
    study.run(lambda options: measure_all(study, options))


def measure_all(study: Study, options: argparse.Namespace) -> None:
    peers(study, options)
    if (Path(options.bundle) / STANDARD_MODEL).exists() and BENCHMARK_APP.exists():
        benchmark_app(study, options)
    overhead(study, options)
    planted_slowdown(study, options)


def peers(study: Study, options: argparse.Namespace) -> None:
    """The harness, a bare loop and LoadGen; the p50 of a process is the median of its turns."""
    rounds = [_peer("together", options) for _ in range(options.rounds)]
    for name in [name for name in rounds[0] if name != "harness"]:
        ratios = [
            statistics.median(ours / theirs for ours, theirs in zip(turns["harness"], turns[name]))
            for turns in rounds
        ]
        study.add(f"p50 ratio, harness / {name}", ratios)
        print(f"p50 of the harness / {name}: {paired_ratio(ratios, [1] * len(ratios))} (bound: 1 ± {BOUND})")


def benchmark_app(study: Study, options: argparse.Namespace) -> None:
    samples: dict[str, list[float]] = {"harness, OpenVINO": [], "benchmark_app": []}
    for _ in range(options.rounds):
        for name, p50_ms in zip(samples, openvino_p50s_ms(options)):
            samples[name].append(p50_ms)
    study.add("p50_ms", samples)
    ratio = paired_ratio(*samples.values())
    print(f"p50 of the harness with OpenVINO / benchmark_app: {ratio} (bound: 1 ± {BOUND})", flush=True)


def openvino_p50s_ms(options: argparse.Namespace) -> tuple[float, float]:
    """The p50 of the harness's worker and of ``benchmark_app``; while one has its turn the other waits."""
    command = [
        BENCHMARK_APP, "-m", Path(options.bundle) / STANDARD_MODEL, "-d", "CPU", "-api", "sync", "-hint",
        "none", "-nstreams", "1", "-nthreads", str(options.threads), "-infer_precision", "f32", "-t",
        str(max(2, round(2 * options.seconds))),
    ]  # fmt: skip
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
    request = Request(options.bundle, "single-stream", options.seconds, options.threads, in_turns=True)
    with (
        tempfile.TemporaryFile() as output,
        WorkerProcess(request, (*PEERS, "openvino")) as worker,
        pinned_to(placement(allowed())[: options.threads]),  # as the worker is
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=unbuffered) as app,
    ):
        try:
            while app.poll() is None and APP_MEASURES not in _content(output):
                time.sleep(0.02)
            events = (event for event in worker.events() if event["event"] != "progress")
            app.send_signal(signal.SIGSTOP)
            next(events)
            worker.send(BEGIN)
            while app.poll() is None:
                app.send_signal(signal.SIGSTOP)
                worker.send(APP_TURN_S)
                next(events)
                app.send_signal(signal.SIGCONT)
                time.sleep(APP_TURN_S)
            worker.finish()
            result = next(events)["result"]
        finally:
            app.kill()
        match = re.search(r"Median:\s*([\d.]+) ms", _content(output).decode())
    if match is None:
        raise BenchmarkError("benchmark_app printed no median")
    return result["latency_ms"]["p50"], float(match[1])


def _content(file: IO[bytes]) -> bytes:
    return os.pread(file.fileno(), 1 << 20, 0)


def overhead(study: Study, options: argparse.Namespace) -> None:
    results = [
        measure(options.bundle, "single-stream", options.seconds, options.threads)
        for _ in range(options.rounds)
    ]
    overhead_us = [result["harness_overhead_us"] for result in results]
    peak_mib = {
        "harness": [result["memory_mib"]["peak"] for result in results],
        "bare": [_peer("bare", options)["peak_mib"] for _ in results],
    }
    memory = statistics.median(peak_mib["harness"]) - statistics.median(peak_mib["bare"])
    print(f"overhead: {statistics.median(overhead_us):.2f} us per inference (bound: {OVERHEAD_US:g})")
    print(f"memory: {memory:.2f} MiB above a bare loop (bound: {OVERHEAD_MIB:g})", flush=True)
    study.add("overhead_us", overhead_us)
    study.add("peak_mib", peak_mib)


def planted_slowdown(study: Study, options: argparse.Namespace) -> None:
    """Kernels that take 3 % of the inference longer; each pair against what its kernels really waited."""
    errors, seen = [], []
    with PlantedKernels(options.bundle, options.threads) as planted:
        for _ in range(options.rounds):
            workers = [planted.worker(0.0), planted.worker(SLOWDOWN)]
            before, after = measure_in_turns(
                [options.bundle] * 2, options.seconds, options.threads, random.Random(0), workers
            )
            seen.append(statistics.median(turn_ratios(before, after)) - 1)
            errors.append(seen[-1] - planted.last_wait_ms() / before["latency_ms"]["mean"])
    share, error = (paired_ratio(values, [1] * len(values)) for values in (seen, errors))
    study.add("planted slowdown", seen, planted=SLOWDOWN, errors=errors)
    print(f"kernels slower by {SLOWDOWN:.1%} are seen as slower by {share}; less what they waited: {error}")
    print(f"(bound: {SLOWDOWN:g} ± {SLOWDOWN_ERROR:g})")


def _peer(kind: str, options: argparse.Namespace) -> dict:
    command = [*PEERS, kind, options.bundle, str(options.seconds), str(options.threads)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise BenchmarkError(f"{command[2]} failed: {process.stderr.strip()[-300:]}")
    return json.loads(process.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()

"""Processes that time the same inference in other ways; ``harness_truth`` compares them with the harness.

``python -m edgevid.benchmarks.experiments.harness_peers bare BUNDLE SECONDS THREADS`` prints the
``{"peak_mib"}`` of a bare loop, ``together ...`` the p50 of each way in ms, turn by turn; ``openvino`` is the
harness's own worker, whose session is OpenVINO on the bundle's model of standard operators.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevid.host.memory import peak_mib

STANDARD_MODEL = "model.onnx"
TURN_S = 0.1
Step = Callable[[], None]


def bare(step: Step, seconds: float) -> float:
    """The median latency (ns) of the loop a user would write: read the clock around each inference."""
    samples = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter_ns()
        step()
        samples.append(time.perf_counter_ns() - begin)
    return statistics.median(samples)


def harness(step: Step, seconds: float) -> float:
    """The same of the harness's single-stream scenario."""
    from edgevid.benchmarks.harness.scenarios.scenario import Workload
    from edgevid.benchmarks.harness.scenarios.single_stream import run

    timing = run(Workload(step, lambda *_: None), seconds)
    return statistics.median(timing.samples_ns)


def loadgen(step: Step, seconds: float) -> float:
    """The same that MLPerf's LoadGen reports in its SingleStream scenario."""
    import mlperf_loadgen as lg

    def issue(queries: list[Any]) -> None:
        for query in queries:
            step()
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

    def nothing(*_: Any) -> None: ...

    settings, logs = lg.TestSettings(), lg.LogSettings()
    settings.scenario, settings.mode = lg.TestScenario.SingleStream, lg.TestMode.PerformanceOnly
    settings.single_stream_expected_latency_ns = 1_000_000
    settings.min_duration_ms = settings.max_duration_ms = int(1000 * seconds)
    settings.min_query_count = 1
    logs.log_output = lg.LogOutputSettings()
    system, library = lg.ConstructSUT(issue, nothing), lg.ConstructQSL(1, 1, nothing, nothing)
    with tempfile.TemporaryDirectory(prefix="edgevid-loadgen-") as folder:
        logs.log_output.outdir = folder
        lg.StartTestWithLogSettings(system, library, settings, logs)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    lg.DestroySUT(system)
    lg.DestroyQSL(library)
    match = re.search(r"50\.00 percentile latency \(ns\)\s*:\s*(\d+)", summary)
    assert match, summary
    return float(match[1])


def together(step: Step, seconds: float) -> dict[str, list[float]]:
    """Each way's p50 in ms, in turns of ``TURN_S`` and random order, on one session."""
    ways = [harness, bare] + ([loadgen] if importlib.util.find_spec("mlperf_loadgen") else [])
    turns: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(max(1, round(seconds / TURN_S / len(ways)))):
        for way in random.sample(ways, len(ways)):
            step()
            turns[way.__name__].append(way(step, TURN_S) / 1e6)
    return turns


class OpenVinoSession:
    """OpenVINO on a bundle's model of standard operators, in the place of an edgevid session."""

    backend, step_includes, target = "openvino", ("inference",), None

    def __init__(self, path: str, threads: int | None, shares_cores: bool = False) -> None:
        from edgevid.bundle.bundle import Bundle
        from edgevid.host.telemetry import disable_openvino_telemetry

        disable_openvino_telemetry()
        import openvino as ov

        self.bundle = Bundle.open(path)
        self.manifest, self.threads = self.bundle.manifest, threads or 1
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": self.threads,
        }
        self._model = ov.Core().compile_model(Path(path) / STANDARD_MODEL, "CPU", options)

    def prepare(self) -> Any:
        import numpy as np

        request = self._model.create_infer_request()
        for port in self._model.inputs:
            array = np.random.default_rng(0).standard_normal(list(port.shape), dtype=np.float32)
            request.get_tensor(port).data[...] = array
        return request.infer


def _warm_up(step: Any, seconds: float = 1.0) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        step()


def main() -> int:
    if sys.argv[1] == "openvino":
        from edgevid.benchmarks.harness.worker import main as worker

        return worker(OpenVinoSession)
    import edgevid

    kind, bundle, seconds, threads = sys.argv[1:]
    step = edgevid.open(bundle, threads=int(threads)).prepare()
    _warm_up(step)
    if kind == "together":
        print(json.dumps(together(step, float(seconds))))
    else:
        bare(step, float(seconds))
        print(json.dumps({"peak_mib": peak_mib()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

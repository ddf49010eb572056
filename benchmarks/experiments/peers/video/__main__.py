"""The command ``python -m edgevid.benchmarks.experiments.peers.video``."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np

from edgevid.benchmarks.experiments.peers import video
from edgevid.benchmarks.experiments.study import Study, paired_ratio
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError
from edgevid.specs import Manifest

SCRIPT = Path(video.__file__).with_name("script.py")
STANDARD_MODELS = ("model.onnx", "model.int8.onnx")
READERS = ("opencv", "decord", "torchcodec", "gstreamer")
BYTECODE = Path(tempfile.gettempdir()) / "edgevid-peers-bytecode"
WARM_UP_ROUNDS = 1  # which fills the caches of files, and compiles what edgevid compiles on first use
EDGEVID = "from edgevid.cli import console; console()"
FLOOR = "decoding alone"
DECODE = """
import json, sys, time
from edgevid.video.decode import read_frames
start_s = time.perf_counter()
frames = sum(1 for _ in read_frames(sys.argv[1]))
print(json.dumps({"logits": [0.0], "frames": frames, "wall_ms": 1e3 * (time.perf_counter() - start_s)}))
"""
KIB = 1024  # of ``ru_maxrss`` in a MiB; Linux


@dataclass(frozen=True)
class Result:
    """One run: its answer, its times in milliseconds and its peak memory."""

    logits: np.ndarray
    frames: int
    wall_ms: float
    process_ms: float
    processor_ms: float
    peak_mib: float

    @property
    def ms_per_frame(self) -> float:
        return self.wall_ms / self.frames


MEASURES: dict[str, Callable[[Result], float]] = {
    "wall per frame (ms)": lambda result: result.ms_per_frame,
    "process start to end (ms)": lambda result: result.process_ms,
    "processor time (ms)": lambda result: result.processor_ms,
    "peak memory (MiB)": lambda result: result.peak_mib,
}


def main() -> None:
    study = Study(video.__doc__.splitlines()[0], rounds=8)
    study.parser.add_argument("bundle", help="of backend onnxruntime: of clips or streaming")
    study.parser.add_argument("videos", nargs="+", metavar="VIDEO")
    study.parser.add_argument(
        "--script-bundle",
        metavar="BUNDLE",
        help="the script runs the model of this bundle, for example in float",
    )
    study.parser.add_argument("--readers", nargs="*", choices=READERS, default=list(READERS))
    study.parser.add_argument(
        "--python", default=sys.executable, help="interpreter with onnxruntime, opencv-python and the readers"
    )
    study.parser.add_argument("--seed", type=int, default=0, help="of the orders")
    study.run(lambda options: measure_all(study, options))


def without_paths(options: argparse.Namespace) -> None:
    """What is recorded has no path of this machine."""
    options.bundle, options.videos = Path(options.bundle).name, [Path(path).name for path in options.videos]
    options.script_bundle = options.script_bundle and Path(options.script_bundle).name
    del options.python


def measure_all(study: Study, options: argparse.Namespace) -> None:
    manifest = Bundle.open(options.bundle).manifest
    for path in options.videos:
        commands = commands_of(options, manifest, path)
        results, failed = run_rounds(commands, options.rounds, options.seed)
        for name, why in failed.items():
            print(f"{path}: {name} did not run: {why}")
        first = results["edgevid"][0]
        for name, runs in results.items():
            measured = {measure: [*map(value, runs)] for measure, value in MEASURES.items()}
            study.add(name, measured, video=Path(path).name, frames=first.frames)
            medians = [f"{measure} {np.median(values):.4g}" for measure, values in measured.items()]
            print(f"{path}: {name}", ", ".join(medians))
            if name != "edgevid":
                if name != FLOOR:
                    print("  " + agreement(first, runs[0]))
                for measure, value in MEASURES.items():
                    ratio = paired_ratio([*map(value, results["edgevid"])], [*map(value, runs)])
                    print(f"  edgevid/{name}, {measure}: {ratio}", flush=True)
    without_paths(options)


def commands_of(options: argparse.Namespace, manifest: Manifest, path: str) -> dict[str, Sequence[str]]:
    preprocessing = manifest.preprocessing
    script_bundle = options.script_bundle or options.bundle
    job = {
        "model": os.path.join(script_bundle, standard_model(Bundle.open(script_bundle).manifest)),
        "video": path,
        "streaming": manifest.streaming,
        "frames": manifest.frames,
        "short_side": preprocessing.short_side,
        "crop": preprocessing.crop,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
    }
    edgevid = [sys.executable, "-c", EDGEVID, "run", options.bundle, "--video", path]
    commands: dict[str, Sequence[str]] = {"edgevid": [*edgevid, "--top", str(manifest.classes), "--json"]}
    for reader in options.readers:
        commands[reader] = [options.python, str(SCRIPT), json.dumps({**job, "reader": reader})]
    if manifest.streaming:
        commands[FLOOR] = [sys.executable, "-c", DECODE, path]
    return commands


def standard_model(manifest: Manifest) -> str:
    """The file that any ONNX runtime reads."""
    return next(artefact.file for artefact in manifest.artefacts if artefact.file in STANDARD_MODELS)


def run_rounds(
    commands: dict[str, Sequence[str]], rounds: int, seed: int
) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """The runs of every candidate; one that fails is left out, and the reason is in the second result."""
    shuffler = random.Random(seed)
    results: dict[str, list[Result]] = {name: [] for name in commands}
    failed: dict[str, str] = {}
    for round_ in range(-WARM_UP_ROUNDS, rounds):
        for name in shuffler.sample([*commands], len(commands)):
            if name in failed:
                continue
            try:
                result = run(commands[name])
            except BenchmarkError as error:
                if name == "edgevid":
                    raise
                failed[name] = str(error)
                results.pop(name)
                continue
            if round_ >= 0:
                results[name].append(result)
    return results, failed


def run(command: Sequence[str]) -> Result:
    """Run a fresh process; ``BenchmarkError`` with its last line if it fails."""
    # As installed packages, edgevid's modules are not compiled anew in each process.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process_ms = 1e3 * (time.perf_counter() - start_s)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            raise BenchmarkError((err.read().strip().splitlines() or ["no message"])[-1])
        answer = json.load(out)
    logits = answer.get("logits") or [
        p["logit"] for p in sorted(answer["predictions"], key=itemgetter("index"))
    ]
    processor_ms = 1e3 * (usage.ru_utime + usage.ru_stime)
    wall_ms = answer.get("wall_ms") or answer["time_ms"]["wall"]
    return Result(
        np.array(logits), answer["frames"], wall_ms, process_ms, processor_ms, usage.ru_maxrss / KIB
    )


def agreement(result: Result, other: Result) -> str:
    """The preprocessing is not the same, so the answers are close and not equal."""
    difference = np.abs(result.logits - other.logits).max() / np.abs(result.logits).max()
    same = "the same" if result.logits.argmax() == other.logits.argmax() else "ANOTHER"
    frames = f"{other.frames} frames for {result.frames}"
    return f"{same} best class, logits differ by {difference:.1e} of the largest, {frames}"


if __name__ == "__main__":
    main()

"""Each kernel against its roofline bound, layer by layer, in the networks that use it.

``python -m edgevid.benchmarks.experiments.kernels [MODEL|BUNDLE ...] [--rounds 20] [--threads 2]
[--json FILE]``

Without names every network of the zoo is exported (seconds to a minute each) and run, causal ones frame by
frame. Times come from ONNX Runtime's profiler, so a layer runs with the caches as its network leaves them.
The bound is the larger of two times: a copy of the same number of bytes, and the kernel's MACs at the
measured peak rate. A layer that several networks have is timed in the first.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, prod
from pathlib import Path

import numpy as np
import onnx

from edgevid.backends.onnxruntime.specialize import pipeline
from edgevid.backends.onnxruntime.specialize.winograd import TILE
from edgevid.benchmarks.experiments.sessions import bound, open_session
from edgevid.benchmarks.experiments.study import Study, print_table, wall_ms
from edgevid.benchmarks.harness.statistics import relative_spread
from edgevid.benchmarks.profile.native_roofline import Roofline, aligned, repeats_of
from edgevid.zoo import MODELS

WARM_UPS = 3
COPIES = 5
"""Samples of a copy, of which the median is taken."""


@dataclass
class Layer:
    """A kernel with the shapes of its tensors, and how often each network has it."""

    op: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    samples_ms: list[float]
    temporal_macs: int = 0
    """Those of the temporal op that the kernel runs."""
    networks: Counter[str] = field(default_factory=Counter)

    @property
    def key(self) -> tuple:
        return self.op, self.inputs, self.outputs

    @property
    def bytes_moved(self) -> int:
        """Every tensor, weights too, read or written once."""
        return 4 * sum(prod(shape) for shape in (*self.inputs, *self.outputs))

    @property
    def macs(self) -> int:
        """The kernel's MACs, without Winograd's transforms and the few MACs of excitations."""
        x, y = self.inputs[0], self.outputs[0]
        weights = self.inputs[2 if self.op.endswith("Step") and len(self.inputs) > 2 else 1 :]
        if self.op == "WinogradConv":
            points, outputs, inputs = weights[0]
            return points * outputs * inputs * x[0] * ceil(x[2] / TILE) * ceil(x[3] / TILE)
        if self.op.startswith("ShiftConvDepthwise"):
            outputs, inputs = weights[0][:2]
            return x[0] * outputs * inputs * prod(x[2:]) + 9 * prod(y)
        if self.op.startswith(("ShiftConv", "FrameStackConv")):
            return prod(y) * weights[0][1]
        return self.temporal_macs


def layers_of(network: str, path: Path, cache: Path, threads: int, rounds: int) -> Iterator[Layer]:
    """The layers of the model file ``path``, timed by the profiler of the session that runs it."""
    specialized = pipeline.specialize(path, cache, threads)
    graph = onnx.load(specialized.path, load_external_data=False).graph
    nodes = [node for node in graph.node if node.domain == "edgevid"]
    temporal_macs = {op.name: (op.flops or 0) // 2 for op in specialized.op_coverage}

    def configure(options) -> None:
        specialized.configure(options)
        options.enable_profiling = True
        options.profile_file_prefix = str(cache / "profile")

    session = open_session(specialized.path, threads, configure)
    run = bound(session)
    for _ in range(WARM_UPS + rounds):
        run()
    events: dict[str, list[dict]] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        events.setdefault(event["name"], []).append(event)
    for node in nodes:
        runs = events[f"{node.name}_kernel_time"]
        inputs, outputs = (
            tuple(tuple(shape) for tensor in runs[0]["args"][key] for shape in tensor.values())
            for key in ("input_type_shape", "output_type_shape")
        )
        samples = [event["dur"] / 1000 for event in runs[WARM_UPS:]]
        yield Layer(node.op_type, inputs, outputs, samples, temporal_macs.get(node.name, 0))


def models(names: list[str]) -> Iterator[tuple[str, Path]]:
    """The name and model file of each bundle, or of each network, which is exported first."""
    import edgevid

    for name in names or MODELS:
        if Path(name).is_dir():
            bundle = edgevid.open(name).bundle
            yield bundle.manifest.model, bundle.path / bundle.manifest.model_file
            continue
        with tempfile.TemporaryDirectory() as work:
            bundle = edgevid.export(name, output=Path(work) / name, stream=MODELS[name].causal)
            yield name, bundle.path / bundle.manifest.model_file


def describe(layer: Layer, roofline: Roofline, peak_gmacs: float) -> dict[str, object]:
    """A row of the table; the copy is timed now."""
    copy_ms = _copy_ms(roofline, layer.bytes_moved // 2)
    macs_ms = layer.macs / peak_gmacs / 1e6
    took_ms, bound_ms = float(np.median(layer.samples_ms)), max(copy_ms, macs_ms)
    (network, _), *rest = layer.networks.most_common()
    return {
        "kernel": layer.op,
        "x": "x".join(map(str, layer.inputs[0])),
        "y": "x".join(map(str, layer.outputs[0])),
        "ms": took_ms,
        "copy ms": copy_ms,
        "MACs ms": macs_ms,
        "kernel/bound": took_ms / bound_ms,
        "spread": relative_spread(layer.samples_ms),
        "in": network + (f" and {len(rest)} more" if rest else ""),
    }


def _copy_ms(roofline: Roofline, size_bytes: int) -> float:
    target, source = (aligned((max(size_bytes // 4, 1),)) for _ in range(2))
    copy = roofline.copy(target, source)
    repeats = repeats_of(copy)
    return float(np.median([wall_ms(lambda: copy(repeats)) / repeats for _ in range(COPIES)]))


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=20)
    study.parser.add_argument(
        "networks", nargs="*", metavar="MODEL|BUNDLE", help="default: all networks of the zoo"
    )
    study.run(lambda options: measure(study, options))


def measure(study: Study, options: argparse.Namespace) -> None:
    layers: dict[tuple, Layer] = {}
    for network, path in models(options.networks):
        print(f"running {network}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as cache:
            for layer in layers_of(network, path, Path(cache), options.threads, options.rounds):
                layers.setdefault(layer.key, layer).networks[network] += 1
    roofline = Roofline(None, options.threads)
    peak_gmacs = roofline.peak_gmacs()
    ordered = sorted(layers.values(), key=lambda layer: (layer.op, -layer.bytes_moved))
    rows = [describe(layer, roofline, peak_gmacs) for layer in ordered]
    print_table(rows)
    study.facts |= {"isa": roofline.isa, "peak_gmacs": peak_gmacs}
    for row, layer in zip(rows, ordered):
        study.add(layer.op, layer.samples_ms, **row, networks=layer.networks)


if __name__ == "__main__":
    main()

"""The cost of a temporal shift: whole networks with the kernels, against ONNX Runtime without and with shift.

``python -m edgevid.benchmarks.experiments.kernels_shift_conv [--models tsm_r50 tsm_mbv2] [--layers]
[--json FILE]``

Sessions are interleaved in one process, and a ratio is between two runs of one round, so that other load
affects both. ``TSN`` is the same network without its shifts, ``TSM`` the file of standard operators that
every runtime reads. ``--layers``: each convolution with a fused shift, against the runtime's own blocked
convolution without shift. The bound is the MACs at the measured peak rate.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.specialize import pipeline
from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.benchmarks.experiments.sessions import REST_S, convolution, session
from edgevid.benchmarks.experiments.study import Study, describe, interleave
from edgevid.benchmarks.profile.native_roofline import Roofline

LAYERS = (
    (64, 64, 56, 8),
    (256, 64, 56, 8),
    (256, 128, 56, 8),
    (512, 128, 28, 8),
    (512, 256, 28, 8),
    (1024, 256, 14, 8),
    (1024, 512, 14, 8),
    (2048, 512, 7, 8),
    (256, 128, 56, 4),
    (512, 256, 28, 4),
    (1024, 512, 14, 4),
    (32, 144, 56, 8),
    (32, 192, 28, 8),
    (64, 384, 14, 8),
    (96, 576, 14, 8),
    (160, 960, 7, 8),
    (32, 144, 56, 1),
    (96, 576, 14, 1),
    (160, 960, 7, 1),
)
"""Inputs, outputs, height and width, frames: the layers of ResNet-50, also after temporal pooling, and of
MobileNetV2, also for a streamed frame; 24 channels are 32 in blocks."""


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=15)
    study.parser.add_argument("--models", nargs="*", default=["tsm_r50", "tsm_mbv2", "tsm_mbv2_online"])
    study.parser.add_argument("--layers", action="store_true", help="single layers instead of networks")
    study.run(lambda options: measure(study, options))


def measure(study: Study, options: argparse.Namespace) -> None:
    threads = options.threads
    peak_gmacs = Roofline(None, threads).peak_gmacs()
    for name, runs, macs in layers(threads) if options.layers else networks(options.models, threads):
        samples = interleave(runs, options.rounds, REST_S)
        bound = f"; MACs at the peak {macs / peak_gmacs / 1e6:.2f} ms"
        print(f"{name}: {describe(samples)}{bound}", flush=True)
        study.add(name, samples)


def networks(models: list[str], threads: int):
    import edgevid

    for model in models:
        with tempfile.TemporaryDirectory() as work:
            stream = model.endswith("_online")
            bundle = edgevid.export(model, output=Path(work) / model, stream=stream)
            path = bundle.path / bundle.manifest.model_file
            specialized = pipeline.specialize(path, Path(work) / "cache", threads)
            unshifted = bundle.path / "without-shifts.onnx"
            unshifted.write_bytes(_without_shifts(path))
            yield (
                model,
                {
                    "edgevid": session(specialized.path, threads, specialized.configure),
                    "TSN": session(unshifted, threads),
                    "TSM": session(bundle.path / "model.onnx", threads),
                },
                bundle.manifest.macs,
            )


def _without_shifts(path: Path) -> bytes:
    model, bypassed, _, _ = pipeline.without_temporal_ops(path, {}, {})
    marks = {mark for item in bypassed for mark in item.marks}
    for node in model.nodes:
        if marks & set(node.attributes.get("dilations") or ()):
            node.set_ints("dilations", [1, 1])
    return bytes(model)


def layers(threads: int):
    random = np.random.default_rng(0)
    for inputs, outputs, side, frames in LAYERS:
        x_shape = (frames, inputs, side, side)
        weights = random.standard_normal((outputs, inputs, 1, 1), dtype=np.float32)
        shift = {"block": block_size(), "frames": frames, "fold": inputs // 8, "first": 1, "second": -1}
        shift |= {"low": 0.0, "high": float("inf")}
        pointwise = {"kernel_shape": [1, 1], "activation": "Relu"}
        yield (
            f"{inputs} to {outputs} channels, {side}x{side}, {frames} frames",
            {
                "edgevid": convolution(x_shape, weights, threads, "edgevid", "ShiftConv", **shift),
                "onnxruntime": convolution(
                    x_shape, weights, threads, "com.microsoft.nchwc", "Conv", **pointwise
                ),
            },
            inputs * outputs * side * side * frames,
        )


if __name__ == "__main__":
    main()

"""What a temporal shift costs: whole networks with the kernels, against ONNX Runtime without shift and with.

``python -m edgevid.benchmarks.kernels_shift_conv [--models tsm_r50 tsm_mbv2] [--layers] [--json FILE]``

Sessions take turns in one process, and a ratio is that of two runs that followed each other: what else the
machine does hits both. ``TSN`` is the same network with its shifts taken out; ``TSM`` the file of standard
operators that every runtime reads. ``--layers``: each convolution that takes a shift, against the runtime's
own blocked convolution without shift.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgevid.backends import ort_kernels
from edgevid.backends.ort_block import block_size
from edgevid.kernels import build

Run = Callable[[], None]
REST_S = 0.01
"""Between two runs: the threads of a session go on spinning for a while, and would take the other's cores."""
LAYERS = (
    (256, 64, 56, 8),
    (512, 128, 28, 8),
    (1024, 256, 14, 8),
    (2048, 512, 7, 8),
    (32, 144, 56, 8),
    (64, 384, 14, 8),
    (96, 576, 14, 8),
    (160, 960, 7, 8),
    (96, 576, 14, 1),
)
"""Inputs, outputs, height and width, frames."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["tsm_r50", "tsm_mbv2", "tsm_mbv2_online"])
    parser.add_argument("--layers", action="store_true", help="single layers instead of networks")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write every sample there")
    asked = parser.parse_args()
    results = {}
    for name, runs in layers(asked.threads) if asked.layers else networks(asked.models, asked.threads):
        results[name] = interleaved(runs, asked.rounds)
        print(f"{name}: {describe(results[name])}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"threads": asked.threads, "samples_ms": results}, indent=2) + "\n")


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each run, in rounds that begin with another one each time."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(-2, rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            time.sleep(REST_S)
            start = time.perf_counter()
            runs[name]()
            if turn >= 0:
                samples[name].append((time.perf_counter() - start) * 1000)
    return samples


def describe(samples: dict[str, list[float]]) -> str:
    """Medians; the first one's paired ratio to each other, with its quartiles; that of the fastest runs."""
    first, *others = samples
    parts = [f"{name} {np.median(values):.2f} ms" for name, values in samples.items()]
    for other in others:
        low, middle, high = np.percentile(np.divide(samples[first], samples[other]), (25, 50, 75))
        fastest = min(samples[first]) / min(samples[other])
        parts.append(f"{first}/{other} {middle:.3f} ({low:.3f} to {high:.3f}; fastest {fastest:.3f})")
    return ", ".join(parts)


def networks(models: list[str], threads: int):
    import edgevid

    for model in models:
        with tempfile.TemporaryDirectory() as work:
            stream = model.endswith("_online")
            bundle = edgevid.export(model, output=Path(work) / model, stream=stream)
            path = bundle.path / bundle.manifest.model_file
            made = ort_kernels.specialise(path, Path(work) / "cache", threads)
            without = bundle.path / "without-shifts.onnx"
            without.write_bytes(_without_shifts(path))
            yield (
                model,
                {
                    "edgevid": session(made.path, threads, made.configure),
                    "TSN": session(without, threads),
                    "TSM": session(bundle.path / "model.onnx", threads),
                },
            )


def _without_shifts(path: Path) -> bytes:
    model, bypassed, _, _ = ort_kernels.without_temporal_ops(path, {}, {})
    marks = {mark for item in bypassed for mark in item.marks}
    for node in model.nodes:
        if marks & set(node.attributes.get("dilations") or ()):
            node.set_ints("dilations", [1, 1])
    return bytes(model)


def layers(threads: int):
    for inputs, outputs, side, frames in LAYERS:
        shape = (inputs, outputs, side, frames)
        shift = {"block": block_size(), "frames": frames, "fold": inputs // 8, "first": 1, "second": -1}
        shift |= {"low": 0.0, "high": float("inf")}
        yield (
            f"{inputs} to {outputs} channels, {side}x{side}, {frames} frames",
            {
                "edgevid": _layer(shape, threads, "edgevid", "ShiftConv", shift),
                "onnxruntime": _layer(
                    shape,
                    threads,
                    "com.microsoft.nchwc",
                    "Conv",
                    {"kernel_shape": [1, 1], "activation": "Relu"},
                ),
            },
        )


def _layer(shape: tuple[int, ...], threads: int, domain: str, op_type: str, attributes: dict) -> Run:
    from onnx import TensorProto, helper, numpy_helper

    inputs, outputs, side, frames = shape
    random = np.random.default_rng(0)
    weights = random.standard_normal((outputs, inputs, 1, 1), dtype=np.float32)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (frames, channels, side, side))
        for name, channels in (("x", inputs), ("y", outputs))
    ]
    bias = random.standard_normal(outputs, dtype=np.float32)
    constants = [numpy_helper.from_array(array, name) for name, array in (("w", weights), ("b", bias))]
    node = helper.make_node(op_type, ["x", "w", "b"], ["y"], domain=domain, **attributes)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    graph = helper.make_graph([node], op_type, ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    configure = functools.partial(ort_kernels.load_as_optimised, library=build.library())
    return session(model.SerializeToString(), threads, configure)


def session(model: Path | bytes, threads: int, configure: Callable = lambda options: None) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    configure(options)
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    random = np.random.default_rng(0)
    for value in session.get_inputs():
        array = random.standard_normal(value.shape, dtype=np.float32)
        binding.bind_ortvalue_input(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for value in session.get_outputs():
        array = np.zeros(value.shape, np.float32)
        binding.bind_ortvalue_output(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    return lambda: session.run_with_iobinding(binding)


if __name__ == "__main__":
    main()

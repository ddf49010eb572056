"""TemporalConv against a copy of its tensor, and against ONNX Runtime's permute, grouped Conv1d and permute.

``python -m edgevid.benchmarks.experiments.kernels_temporal_conv [--threads 2] [--isa avx2] [--json FILE]``
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from edgevid.benchmarks.experiments.kernel_rounds import (
    Kernel,
    OnnxRuntime,
    interleaved,
    kernel_study,
)
from edgevid.benchmarks.experiments.study import Study, print_table
from edgevid.benchmarks.harness.statistics import relative_spread
from edgevid.benchmarks.profile.native_roofline import aligned
from edgevid.kernels.temporal_conv.call import conv_of

FRAMES = 8
BLOCK = 16
LAYERS = (
    *((f"ACTION-Net on ResNet-50, stage {i + 1}", 256 << i, 56 >> i, 3) for i in range(4)),
    *((f"STM and ACTION-Net on ResNet-50, stage {i + 1}", 64 << i, 56 >> i, 3) for i in range(4)),
    *((f"STM stage {i + 2}, first block", 128 << i, 56 >> i, 3) for i in range(3)),
    *(
        ("ACTION-Net on MobileNetV2", c, side, 3)
        for c, side in ((24, 56), (32, 28), (64, 14), (96, 14), (160, 7))
    ),
    *(("ACTION-Net on BN-Inception", c, 28, 3) for c in (192, 256, 320)),
    *(("ACTION-Net on BN-Inception", c, 14, 3) for c in (576, 608)),
    *(("ACTION-Net on BN-Inception", c, 7, 3) for c in (1024, 1056)),
    *(
        ("TEA", c, side, 3)
        for c, side in ((26, 56), (52, 56), (52, 28), (104, 28), (104, 14), (208, 14), (208, 7))
    ),
    ("5 taps", 256, 56, 5),
)
"""Name, channels, height and width, taps."""


def standard_ops(x_shape: tuple[int, ...], weights: np.ndarray) -> Any:
    """The ONNX model as PyTorch code writes it: pixels become the batch of a grouped Conv1d over frames."""
    from onnx import TensorProto, helper, numpy_helper

    frames, channels, height, width = x_shape
    taps = weights.shape[1]
    shapes = {
        "clip": (1, frames, channels, height, width),
        "rows": (height * width, channels, frames),
        "planes": (1, height, width, channels, frames),
        "images": x_shape,
    }
    nodes = [
        helper.make_node("Reshape", ["x", "clip"], ["clips"]),
        helper.make_node("Transpose", ["clips"], ["last"], perm=[0, 3, 4, 2, 1]),
        helper.make_node("Reshape", ["last", "rows"], ["time"]),
        helper.make_node("Conv", ["time", "weights"], ["mixed"], group=channels, pads=[(taps - 1) // 2] * 2),
        helper.make_node("Reshape", ["mixed", "planes"], ["pixels"]),
        helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 4, 3, 1, 2]),
        helper.make_node("Reshape", ["first", "images"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape in shapes.items()]
    constants.append(numpy_helper.from_array(weights[:, None], "weights"))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x_shape) for name in "xy"]
    graph = helper.make_graph(nodes, "temporal_conv", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def measure(kernel: Kernel, channels: int, side: int, taps: int, rounds: int) -> dict[str, list[float]]:
    x, y = aligned((FRAMES, channels, side, side)), aligned((FRAMES, channels, side, side))
    weights = aligned((channels, taps))
    options = {"frames": FRAMES, "past": (taps - 1) // 2}
    run = kernel.run(conv_of(x, weights, y, **options))
    standard = OnnxRuntime(standard_ops(x.shape, weights), x, kernel.threads)
    run(1)
    standard.check(y)
    candidates = {
        "kernel": run,
        "copy": kernel.copy(y, x),
        "onnxruntime": standard,
    }
    if channels % BLOCK == 0:
        block_shape = (FRAMES, channels // BLOCK, side, side, BLOCK)
        blocked = conv_of(x.reshape(block_shape), weights, y.reshape(block_shape), **options)
        candidates["blocked"] = kernel.run(blocked)
    return interleaved(candidates, rounds)


def main() -> None:
    study = kernel_study(__doc__.splitlines()[0])
    study.run(lambda options: measure_layers(study, options))


def measure_layers(study: Study, options: argparse.Namespace) -> None:
    kernel = Kernel("temporal_conv", options.isa, options.threads)
    study.facts["isa"] = kernel.isa
    rows = []
    for name, channels, side, taps in LAYERS:
        samples = measure(kernel, channels, side, taps, options.rounds)
        median = {candidate: float(np.median(values)) for candidate, values in samples.items()}
        shape = f"{FRAMES}x{channels}x{side}x{side}"
        rows.append(
            {
                "layer": name,
                "tensor": shape,
                "taps": taps,
                **median,
                "GB/s": 2 * 4 * FRAMES * channels * side * side / median["kernel"] / 1e6,
                "kernel/copy": median["kernel"] / median["copy"],
                "blocked/copy": median["blocked"] / median["copy"] if "blocked" in median else None,
                "kernel/onnxruntime": median["kernel"] / median["onnxruntime"],
                "spread": relative_spread(samples["kernel"]),
            }
        )
        study.add(name, samples, tensor=shape, taps=taps)
    print_table(rows)


if __name__ == "__main__":
    main()

"""ChannelConv against its roofline bound, and against ONNX Runtime's Conv on the channels as height.

``python -m edgevid.benchmarks.experiments.kernels_channel_conv [--threads 2] [--isa avx2] [--json FILE]``

The bound is the larger of two times: the bytes of both tensors at copy bandwidth, and the MACs at the
processor's peak rate.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
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
from edgevid.kernels.channel_conv.call import conv_of

COPIES = 8
"""Copies of the op in ONNX Runtime's model, as small layers take less time than a session's overhead."""


@dataclass(frozen=True)
class Layer:
    name: str
    channels: int
    side: int
    filters: int
    taps: int
    stride: int = 1
    pads: tuple[int, int] = (0, 0)
    unshared: bool = False

    @property
    def outputs(self) -> int:
        return (self.channels + sum(self.pads) - self.taps) // self.stride + 1

    @property
    def x_shape(self) -> tuple[int, ...]:
        return 1, self.channels, self.side, self.side

    @property
    def y_shape(self) -> tuple[int, ...]:
        return 1, self.filters * self.outputs, self.side, self.side

    @property
    def macs(self) -> int:
        return self.filters * self.outputs * self.side**2 * self.taps


LAYERS = (
    Layer("group channel-wise, g=2", 512, 14, filters=2, taps=8, stride=2, pads=(3, 3)),
    Layer("group channel-wise, g=4", 512, 14, filters=4, taps=8, stride=4, pads=(2, 2)),
    Layer("depth-wise separable", 1024, 7, filters=1, taps=64, pads=(31, 32)),
    Layer("classification", 1024, 1, filters=1, taps=25),
    Layer("classification, unshared", 1024, 1, filters=1, taps=25, unshared=True),
    Layer("classification, 7x7 volumes", 1024 * 49, 1, filters=1, taps=25 * 49, stride=49),
)


def standard_ops(layer: Layer, weights: np.ndarray) -> Any:
    """The ONNX model: a Conv of (1, 1, channels, H*W); for unshared weights a MatMul with a banded matrix.

    Each copy has different weights, as ONNX Runtime would compute equal ones once.
    """
    from onnx import TensorProto, helper, numpy_helper

    view_shape = (1, layer.channels) if layer.unshared else (1, 1, layer.channels, layer.side**2)
    shapes = {"view_shape": view_shape, "y_shape": layer.y_shape}
    constants = [numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape in shapes.items()]
    nodes = []
    for copy in range(COPIES):
        filters = weights + copy
        view = f"view_{copy}"
        nodes.append(helper.make_node("Reshape", ["x", "view_shape"], [view]))
        if layer.unshared:
            band = np.zeros((layer.channels, layer.outputs), np.float32)
            for tap in range(layer.taps):
                band[np.arange(layer.outputs) + tap, np.arange(layer.outputs)] = filters[0, tap]
            constants.append(numpy_helper.from_array(band, f"weights_{copy}"))
            nodes.append(helper.make_node("MatMul", [view, f"weights_{copy}"], [f"z_{copy}"]))
        else:
            constants.append(numpy_helper.from_array(filters[:, None, :, None], f"weights_{copy}"))
            window = {"strides": [layer.stride, 1], "pads": [layer.pads[0], 0, layer.pads[1], 0]}
            nodes.append(helper.make_node("Conv", [view, f"weights_{copy}"], [f"z_{copy}"], **window))
        nodes.append(helper.make_node("Reshape", [f"z_{copy}", "y_shape"], [f"y_{copy}"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.x_shape)]
    outputs = [
        helper.make_tensor_value_info(f"y_{i}", TensorProto.FLOAT, layer.y_shape) for i in range(COPIES)
    ]
    graph = helper.make_graph(nodes, "channel_conv", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def measure(kernel: Kernel, layer: Layer, rounds: int) -> dict[str, list[float]]:
    x, y = aligned(layer.x_shape), aligned(layer.y_shape)
    per_output = (layer.outputs,) if layer.unshared else ()
    weights = aligned((layer.filters, layer.taps, *per_output))
    source, target = aligned((max(x.size, y.size),)), aligned((max(x.size, y.size),))
    run = kernel.run(conv_of(x, weights, y, stride=layer.stride, pads=layer.pads))
    standard = OnnxRuntime(standard_ops(layer, weights), x, kernel.threads, COPIES)
    run(1)
    standard.check(y)
    candidates = {
        "kernel": run,
        "copy": kernel.copy(target, source),
        "onnxruntime": standard,
    }
    return interleaved(candidates, rounds)


def main() -> None:
    study = kernel_study(__doc__.splitlines()[0])
    study.run(lambda options: measure_layers(study, options))


def measure_layers(study: Study, options: argparse.Namespace) -> None:
    kernel = Kernel("channel_conv", options.isa, options.threads)
    peak_gmacs = kernel.peak_gmacs()
    study.facts["isa"] = kernel.isa
    rows = []
    for layer in LAYERS:
        samples = measure(kernel, layer, options.rounds)
        median = {candidate: float(np.median(values)) for candidate, values in samples.items()}
        bound_ms = max(median["copy"], layer.macs / peak_gmacs / 1e6)
        rows.append(
            {
                "layer": layer.name,
                "tensor": "x".join(map(str, layer.x_shape[1:])),
                "taps": layer.taps,
                **{name: f"{value:.4f}" for name, value in median.items()},
                "bound": f"{bound_ms:.4f}",
                "GFLOP/s": 2 * layer.macs / median["kernel"] / 1e6,
                "kernel/bound": median["kernel"] / bound_ms,
                "kernel/onnxruntime": median["kernel"] / median["onnxruntime"],
                "spread": relative_spread(samples["kernel"]),
            }
        )
        study.add(layer.name, samples, macs=layer.macs, bound_ms=bound_ms)
    print_table(rows)
    print(f"the peak of {kernel.threads} threads is {2 * peak_gmacs:.0f} GFLOP/s")


if __name__ == "__main__":
    main()

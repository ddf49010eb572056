"""The cost of a temporal shift on an NVIDIA GPU: fused, unfused and absent, in half precision.

``python -m edgevid.benchmarks.experiments.gpu [--clips 1 8] [--networks tsm_r50 tsm_mbv2] [--json FILE]``

Layers: every 1x1 convolution of ResNet-50 and MobileNetV2 that follows a shift, bias and activation included,
channels-last. ``fused`` is edgevid's kernel with the shift, ``no shift`` the same kernel without, ``unfused``
edgevid's shift and then that kernel; ``cuDNN`` and ``cuBLAS`` are convolutions without shift as PyTorch calls
them, ``slices + cuDNN`` has the shift as TSM's code writes it. Networks: see ``gpu_networks``. All candidates
of a row are interleaved as CUDA graphs; a ratio is between two samples of one round. Results are compared
with float64 first.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.benchmarks.experiments.gpu_graphs import FRAMES, interleaved, shift_by_slices
from edgevid.benchmarks.experiments.study import Study, describe, require_equal
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    import torch

TOLERANCE = 2e-3
"""For half precision, which rounds to 11 bits, relative to the largest output."""

BEYOND_CACHE_BYTES = 128 << 20
"""Repeats cycle through buffers of this total size, or at least two, so that they do not fit in the cache."""

MAX_BUFFERS = 24


@dataclass(frozen=True)
class Layer:
    """A shifted 1x1 convolution on ``side`` x ``side`` pixels, ``count`` times in ``network``."""

    network: str
    channels: int
    outputs: int
    side: int
    count: int
    high: float | None = None

    def __str__(self) -> str:
        return f"{self.channels} to {self.outputs}, {self.side}x{self.side}"


LAYERS = (
    *(Layer("tsm_r50", *shape) for shape in (
        (64, 64, 56, 1), (256, 64, 56, 2), (256, 128, 56, 1), (512, 128, 28, 3),
        (512, 256, 28, 1), (1024, 256, 14, 5), (1024, 512, 14, 1), (2048, 512, 7, 2),
    )),
    *(Layer("tsm_mbv2", *shape, high=6.0) for shape in (
        (24, 144, 56, 1), (32, 192, 28, 2), (64, 384, 14, 3), (96, 576, 14, 2), (160, 960, 7, 2),
    )),
)  # fmt: skip


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=30)
    study.parser.add_argument(
        "--clips", type=int, nargs="*", default=[1, 8], help="clips of 8 frames at once (1 8)"
    )
    study.parser.add_argument("--networks", nargs="*", default=["tsm_r50", "tsm_mbv2"], help="whole networks")
    study.run(lambda options: measure(study, options))


def measure(study: Study, options: argparse.Namespace) -> None:
    """Measure layers, then networks, and print each row as soon as it is complete."""
    import torch

    from edgevid.kernels.common.cuda.compile import find_nvcc, shared_library

    if not torch.cuda.is_available():
        raise BenchmarkError("PyTorch finds no usable NVIDIA GPU: run this on a machine with one")
    nvcc = find_nvcc()
    if nvcc is None:
        raise BenchmarkError("nvcc is not installed: install CUDA's compiler")
    study.facts |= {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        library = shared_library(nvcc, Path(folder) / "cuda_kernels.so")
        for clips in options.clips:
            rows = [layer_row(layer, clips, library, options.rounds) for layer in LAYERS]
            study.results += rows
            _print_totals(rows, clips)
    if options.networks:
        from edgevid.benchmarks.experiments.gpu_networks import network_row

        for clips in options.clips:
            for name in options.networks:
                study.results.append(network_row(name, clips, options.rounds))


def layer_row(layer: Layer, clips: int, library: Any, rounds: int) -> dict[str, Any]:
    """Samples in ms of every candidate for one layer, which are also printed."""
    import torch

    images, moved = clips * FRAMES, layer.channels // 8
    elements = images * layer.side**2 * (layer.channels + layer.outputs)
    buffers = max(2, min(MAX_BUFFERS, math.ceil(BEYOND_CACHE_BYTES / (2 * elements))))
    make = torch.Generator("cuda").manual_seed(0)
    x = [_random(make, images, layer.channels, layer.side) for _ in range(buffers)]
    y = [torch.full_like(_random(make, images, layer.outputs, layer.side), math.nan) for _ in range(buffers)]
    weights = torch.randn(layer.outputs, layer.channels, device="cuda", generator=make) / layer.channels**0.5
    bias = torch.randn(layer.outputs, device="cuda", generator=make)
    runs = _candidates(layer, x, y, weights.half(), bias, library)
    shifted = shift_by_slices(x[0].double(), moved)
    for name, run in runs.items():
        expected = _pointwise(x[0].double() if name in NO_SHIFT else shifted, weights, bias, layer.high)
        result = run(0).double().cpu().numpy()
        require_equal(f"{layer}: {name}", [result], "float64", [expected.cpu().numpy()], TOLERANCE)
    samples = interleaved(runs, buffers, rounds)
    row = {"name": str(layer), **asdict(layer), "clips": clips, "samples_ms": samples}
    print(f"{clips} clips, {layer}: {describe(samples)}", flush=True)
    return row


NO_SHIFT = ("no shift", "cuDNN", "cuBLAS")


def _candidates(
    layer: Layer,
    x: list[torch.Tensor],
    y: list[torch.Tensor],
    weights: torch.Tensor,
    bias: torch.Tensor,
    library: Any,
) -> dict[str, Callable[[int], torch.Tensor]]:
    import torch

    from edgevid.kernels.common.cuda import call
    from edgevid.kernels.shift_conv.triton_call import shift_conv

    fold, half_bias = layer.channels // 8, bias.half()
    kernel = weights[:, :, None, None].to(memory_format=torch.channels_last)
    flat = weights.t()
    shifted = torch.empty_like(x[0])
    bounds = {"low": 0.0, "high": layer.high}

    def edgevid_kernel(source: torch.Tensor, i: int, fold: int) -> torch.Tensor:
        return shift_conv(source, weights, bias, frames=FRAMES, fold=fold, **bounds, y=y[i])

    def unfused(i: int) -> torch.Tensor:
        stream = torch.cuda.current_stream().cuda_stream
        call.temporal_shift(
            library, x[i], shifted, frames=FRAMES, fold=fold, first=1, second=-1, stream=stream
        )
        return edgevid_kernel(shifted, i, 0)

    def cudnn(source: torch.Tensor) -> torch.Tensor:
        if layer.high is None:
            return torch.cudnn_convolution_relu(source, kernel, half_bias, (1, 1), (0, 0), (1, 1), 1)
        return torch.nn.functional.conv2d(source, kernel, half_bias).clamp_(0, layer.high)

    def cublas(i: int) -> torch.Tensor:
        rows = x[i].permute(0, 2, 3, 1).reshape(-1, layer.channels)
        result = torch._addmm_activation(half_bias, rows, flat)
        if layer.high is not None:
            result = result.clamp_(max=layer.high)
        images, _, height, width = x[i].shape
        return result.view(images, height, width, -1).permute(0, 3, 1, 2)

    return {
        "fused": lambda i: edgevid_kernel(x[i], i, fold),
        "no shift": lambda i: edgevid_kernel(x[i], i, 0),
        "unfused": unfused,
        "cuDNN": lambda i: cudnn(x[i]),
        "cuBLAS": cublas,
        "slices + cuDNN": lambda i: cudnn(shift_by_slices(x[i], fold)),
    }


def _print_totals(rows: list[dict[str, Any]], clips: int) -> None:
    """Print the total over the layers of each network, by how often it has them."""
    import numpy as np

    for network in dict.fromkeys(row["network"] for row in rows):
        group = [row for row in rows if row["network"] == network]
        totals = {
            name: list(np.sum([row["count"] * np.array(row["samples_ms"][name]) for row in group], axis=0))
            for name in group[0]["samples_ms"]
        }
        print(f"{clips} clips, all such layers of {network}: {describe(totals)}", flush=True)


def _random(make: torch.Generator, images: int, channels: int, side: int) -> torch.Tensor:
    import torch

    x = torch.randn(images, channels, side, side, device="cuda", dtype=torch.half, generator=make)
    return x.to(memory_format=torch.channels_last)


def _pointwise(
    x: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor, high: float | None
) -> torch.Tensor:
    import torch

    sums = torch.einsum("nchw,oc->nohw", x, weights.half().double()) + bias.double()[:, None, None]
    return sums.clamp(0, high)


if __name__ == "__main__":
    main()

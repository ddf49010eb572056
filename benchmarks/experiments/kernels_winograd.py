"""What a 3x3 convolution costs: edgevid's Winograd kernel against ONNX Runtime's own, layer by layer.

``python -m edgevid.benchmarks.experiments.kernels_winograd [--threads N] [--rounds N] [--json FILE]``

Both run in the blocked layout on the same filters, and take turns. The floor is what the kernel has to
multiply, at the measured peak.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.winograd import TILE, pays
from edgevid.benchmarks.experiments.kernel_rounds import Floors
from edgevid.benchmarks.experiments.sessions import REST_S, convolution
from edgevid.benchmarks.experiments.study import Run, Study, describe, interleave
from edgevid.kernels.winograd.reference import filters_to_points, points_to_blocks

LAYERS = (
    (64, 56, 8),
    (128, 28, 8),
    (256, 14, 8),
    (512, 7, 8),
    (64, 56, 1),
    (128, 28, 1),
    (256, 14, 1),
    (512, 7, 1),
)
"""Channels, height and width, images: the layers of ResNet-50 and -101, for a clip and for a frame."""


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=15)
    study.run(lambda options: measure(study, options.threads, options.rounds))


def measure(study: Study, threads: int, rounds: int) -> None:
    peak_gmacs = Floors(None, threads).peak_gmacs()
    for channels, side, images in LAYERS:
        samples = interleave(_runs(channels, side, images, threads), rounds, REST_S)
        taken = pays((images, channels, side, side), (channels, channels))
        name = f"{channels} channels, {side}x{side}, {images} images"
        products = 36 * ceil(side / TILE) ** 2 * channels**2 * images
        print(
            f"{name}: {describe(samples)}; products at the peak {products / peak_gmacs / 1e6:.2f} ms; "
            f"{'' if taken else 'not '}taken",
            flush=True,
        )
        study.add(name, samples)


def _runs(channels: int, side: int, images: int, threads: int) -> dict[str, Run]:
    block, random = block_size(), np.random.default_rng(0)
    weights = random.standard_normal((channels, channels, 3, 3), dtype=np.float32) / np.sqrt(9 * channels)
    points = points_to_blocks(filters_to_points(weights), block)
    blocked = weights.reshape(channels // block, block, channels // block, block, 3, 3)
    blocked = np.ascontiguousarray(blocked.transpose(0, 2, 4, 5, 3, 1), np.float32).reshape(weights.shape)
    shape = (images, channels, side, side)
    winograd = {"block": block, "low": 0.0, "high": float("inf")}
    direct = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "activation": "Relu"}
    return {
        "edgevid": convolution(shape, points, threads, "edgevid", "WinogradConv", **winograd),
        "onnxruntime": convolution(shape, blocked, threads, "com.microsoft.nchwc", "Conv", **direct),
    }


if __name__ == "__main__":
    main()

"""The time of 3x3 convolutions: edgevid's Winograd kernel against ONNX Runtime's, layer by layer.

``python -m edgevid.benchmarks.experiments.kernels_winograd [--threads N] [--rounds N] [--json FILE]``

Both run interleaved, in the blocked layout, on the same filters. The bound is the kernel's MACs at the
measured peak rate.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.winograd import TILE, pays
from edgevid.benchmarks.experiments.sessions import REST_S, convolution
from edgevid.benchmarks.experiments.study import Run, Study, describe, interleave
from edgevid.benchmarks.profile.native_roofline import Roofline
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
    peak_gmacs = Roofline(None, threads).peak_gmacs()
    for channels, side, images in LAYERS:
        samples = interleave(_runs(channels, side, images, threads), rounds, REST_S)
        selected = pays((images, channels, side, side), (channels, channels))
        name = f"{channels} channels, {side}x{side}, {images} images"
        macs = 36 * ceil(side / TILE) ** 2 * channels**2 * images
        print(
            f"{name}: {describe(samples)}; MACs at the peak {macs / peak_gmacs / 1e6:.2f} ms; "
            f"{'' if selected else 'not '}selected",
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

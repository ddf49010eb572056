"""The preprocessing kernel against a copy of the decoder's planes, and against FFmpeg and Pillow.

``python -m edgevid.benchmarks.experiments.kernels_preprocess [--rounds N] [--json FILE]``

All use one thread, interleaved, on frames that take turns, as those of a decoder's pool do. The floor is one
reading of the planes, measured as their copy; "needed" is a copy of as many bytes as the crop covers. FFmpeg
and Pillow have rounds of their own: their 10 ms would leave the caches cold for what comes next.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
from collections.abc import Callable

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from edgevid.benchmarks.experiments.study import Study, interleave, paired_ratio, print_table
from edgevid.benchmarks.harness.statistics import relative_spread
from edgevid.errors import BenchmarkError
from edgevid.kernels.common.build import library_or_reason
from edgevid.kernels.preprocess.call import Layout, Plan, load
from edgevid.kernels.preprocess.filters import repeated, through, triangle

SHORT_SIDE, CROP = 256, 224
YUV420, PLANAR = (1, 1), Layout()
PICTURES = (
    (1920, 1080, "yuv420p", PLANAR, YUV420),
    (3840, 2160, "yuv420p", PLANAR, YUV420),
    (1280, 720, "yuv420p", PLANAR, YUV420),
    (340, 256, "yuv420p", PLANAR, YUV420),
    (1920, 1080, "nv12", Layout(interleaved=True), YUV420),
    (1920, 1080, "yuv444p", PLANAR, (0, 0)),
    (1920, 1080, "p010le", Layout(10, interleaved=True, aligned_high=True), YUV420),
)
"""Width, height, pixel format, and how often rows and columns of its chroma are halved."""

BT601 = [[1.164, 0, 1.596, -222.9], [1.164, -0.392, -0.813, 135.6], [1.164, 2.017, 0, -276.8]]
FRAMES = 4


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=60)
    study.run(lambda options: measure(study, options))


def measure(study: Study, options: argparse.Namespace) -> None:
    rows = []
    for width, height, pixel_format, layout, halved in PICTURES:
        frames = random_frames(width, height, pixel_format)
        plan = plan_of(width, height, layout, halved)
        runs = candidates(frames, plan, np.empty(plan.shape, np.float32))
        exact = runs.pop("exact")
        samples = interleave(runs, options.rounds)
        against = interleave({"kernel": runs["kernel"], "exact": exact}, options.rounds)
        name = f"{width}x{height} {pixel_format}"
        study.add(name, samples)
        study.add(f"{name}, exact", against)
        rows.append(
            {
                "picture": name,
                **{candidate: float(np.median(values)) for candidate, values in samples.items()},
                "exact": float(np.median(against["exact"])),
                "kernel/copy": str(paired_ratio(samples["kernel"], samples["copy"])),
                "kernel/needed": str(paired_ratio(samples["kernel"], samples["needed"])),
                "kernel/exact": str(paired_ratio(against["kernel"], against["exact"])),
                "spread": relative_spread(samples["kernel"]),
            }
        )
    print_table(rows)


def plan_of(width: int, height: int, layout: Layout, halved: tuple[int, int]) -> Plan:
    positions = np.arange(CROP)
    filters = []
    for length, log2 in zip((height, width), halved):
        resized, begin = window(length, min(width, height))
        luma = triangle(length, resized, positions + begin)
        filters.append((luma, through(luma, lambda pixels, log2=log2: repeated(pixels, log2))))
    return Plan(layout, *filters, np.array(BT601) / 255, np.zeros(3), np.ones(3))


def window(length: int, short_side: int) -> tuple[int, int]:
    """Pixels of an axis after the resize, and the first that the crop keeps."""
    resized = int(SHORT_SIDE * length / short_side)
    return resized, (resized - CROP) // 2


def random_frames(width: int, height: int, pixel_format: str) -> list[av.VideoFrame]:
    random = np.random.default_rng(0)
    images = (random.integers(80, 176, (height, width, 3), np.uint8) for _ in range(FRAMES))
    return [av.VideoFrame.from_ndarray(each, format="rgb24").reformat(format=pixel_format) for each in images]


def candidates(frames: list[av.VideoFrame], plan: Plan, out: np.ndarray) -> dict[str, Callable[[], None]]:
    """Functions that each write the input for the next frame to ``out``, or copy its planes elsewhere."""
    library = library_or_reason()
    if isinstance(library, str):
        raise BenchmarkError(library)
    run = load(library)
    first = frames[0]
    targets = [ctypes.create_string_buffer(plane.buffer_size) for plane in first.planes]
    kept = CROP / SHORT_SIDE * min(first.width, first.height)
    needed = kept * kept / (first.width * first.height)
    reformatter = VideoReformatter()
    corners = []
    for length in (first.width, first.height):
        resized, begin = window(length, min(first.width, first.height))
        corners.append((begin * length / resized, (begin + CROP) * length / resized))
    box = tuple(corner for pair in zip(*corners) for corner in pair)

    def kernel(frame: av.VideoFrame) -> None:
        planes = frame.planes
        run(plan.bind([plane.buffer_ptr for plane in planes], [plane.line_size for plane in planes], out))

    def copy(frame: av.VideoFrame, share: float = 1.0) -> None:
        for plane, target in zip(frame.planes, targets):
            ctypes.memmove(target, plane.buffer_ptr, int(share * plane.buffer_size))

    def exact(frame: av.VideoFrame) -> None:
        rgb = reformatter.reformat(frame, format="rgb24", interpolation="BICUBIC").to_ndarray()
        resized = Image.fromarray(rgb).resize((CROP, CROP), Image.Resampling.BILINEAR, box=box)
        np.multiply(np.asarray(resized).transpose(2, 0, 1), np.float32(1 / 255), out=out)

    def in_turn(function: Callable[[av.VideoFrame], None]) -> Callable[[], None]:
        turns = itertools.cycle(frames)
        return lambda: function(next(turns))

    return {
        "kernel": in_turn(kernel),
        "copy": in_turn(copy),
        "needed": in_turn(lambda frame: copy(frame, needed)),
        "exact": in_turn(exact),
    }


if __name__ == "__main__":
    main()

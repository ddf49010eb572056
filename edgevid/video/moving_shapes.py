"""Make a short real video: a disc and a square that cross a textured background, in H.264.

python -m edgevid.video.moving_shapes FILE.mp4
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgevid.video.encode import write_h264

WIDTH, HEIGHT, FRAMES, FRAME_RATE = 340, 256, 90, 30


def frames() -> Iterator[np.ndarray]:
    """RGB frames, uint8 ``(HEIGHT, WIDTH, 3)``."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    background = np.stack([128 + 60 * np.sin(x / 9), 128 + 60 * np.sin(y / 7), 90 + 0 * x], axis=-1)
    for index in range(FRAMES):
        progress = index / FRAMES
        frame = background.copy()
        disc_x, disc_y = WIDTH * progress, HEIGHT * (0.5 + 0.3 * np.sin(6 * progress))
        frame[(x - disc_x) ** 2 + (y - disc_y) ** 2 < 30**2] = (230, 40, 40)
        left, top = int((WIDTH - 60) * (1 - progress)), int((HEIGHT - 60) * progress)
        frame[top : top + 60, left : left + 60] = (30, 60, 220)
        yield frame.astype(np.uint8)


def write(path: Path) -> None:
    """Encode the frames into an mp4 file at ``path``."""
    write_h264(path, frames(), FRAME_RATE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m edgevid.video.moving_shapes FILE.mp4")
    destination = Path(sys.argv[1])
    destination.parent.mkdir(parents=True, exist_ok=True)
    write(destination)
    print(f"wrote {destination}: {FRAMES} frames of {WIDTH}x{HEIGHT} at {FRAME_RATE} frames/s")

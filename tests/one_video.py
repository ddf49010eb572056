"""A small video to calibrate with."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_videos(folder: Path, count: int) -> Path:
    """``count`` videos in ``folder``, which is made; each has stripes of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        write_video(folder / f"{index}.mp4", index)
    return folder


def write_video(path, seed: int, frames: int = 12) -> None:
    """Stripes that move over a plain ground, of colours and speed by ``seed``."""
    random = np.random.default_rng(seed)
    colours, speed, x = random.integers(0, 255, (2, 3)), random.uniform(1, 6), np.arange(48)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for index in range(frames):
            stripes = (x + speed * index) % 16 < 8
            image = np.broadcast_to(np.where(stripes[:, None], *colours[:, None]), (40, 48, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image, np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())

"""Write frames as a real video file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import av
import numpy as np


def write_h264(
    path: Path, images: Iterable[np.ndarray], frame_rate: int, options: Mapping[str, str] | None = None
) -> None:
    """Encode RGB images, uint8 ``(height, width, 3)`` of one even size; ``options`` are libx264's.

    One thread encodes, so the same images give the same file wherever the same libx264 runs.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=frame_rate, options=dict(options or {}))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, image in enumerate(images):
            if not number:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())

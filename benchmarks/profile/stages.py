"""The stages of a video, from the file to the answer: decoding, preprocessing and inference, as ``run`` does.

Stages overlap, so each has its own busy time, and the wall time is less than their sum.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgevid.video.recognize import Follower, decoder_threads, recognize_clip
from edgevid.video.stopwatch import Stopwatch

NAMES = {"decode": "decoding", "preprocess": "preprocessing", "inference": "inference"}
"""The stages of a profile, and what a stopwatch calls them."""
MADE_HERE = "a disc and a square that move, 340x256, H.264, made here"


class RecordingStopwatch(Stopwatch):
    """A stopwatch that keeps each interval, as start and duration in milliseconds since its creation."""

    def __init__(self) -> None:
        super().__init__()
        self.spans_ms: dict[str, list[tuple[float, float]]] = {stage: [] for stage in self.ms}

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start_ms = 1e3 * (time.perf_counter() - self._start_s)
        before_ms = self.ms[stage]
        try:
            with super().measure(stage):
                yield
        finally:
            self.spans_ms[stage].append((start_ms, self.ms[stage] - before_ms))


def measure(
    session: Any, video: str | Path | None, open_session: Callable[..., Any]
) -> tuple[dict[str, Any], dict[str, list[tuple[float, float]]]]:
    """Run the bundle of ``session``, opened as for a video, on ``video`` twice, and keep the second time.

    Returns the times, and each stage's intervals as start and duration in milliseconds. Raises
    ``EdgevidError`` if the video cannot be read, or the bundle is no classifier.
    """
    with tempfile.TemporaryDirectory(prefix="edgevid-profile-") as folder:
        path = Path(video) if video is not None else Path(folder) / "moving_shapes.mp4"
        if video is None:
            from edgevid.video.moving_shapes import write

            write(path)
        opened = open_session(session.bundle.path, threads=session.threads, shares_cores=True)
        _run(opened, path)
        watch = RecordingStopwatch()
        frames, method = _run(opened, path, watch)
    wall_ms = watch.times_ms()["wall"]
    spans_ms = {name: watch.spans_ms[stage] for name, stage in NAMES.items()}
    times_ms = {name: watch.ms[stage] for name, stage in NAMES.items()} | {"wall": wall_ms}
    times = {
        "video": MADE_HERE if video is None else Path(video).name,
        "frames": frames,
        "preprocessing": method,
        "time_ms": times_ms,
        "time_ms_per_frame": {stage: time_ms / frames for stage, time_ms in times_ms.items()},
    }
    return times, spans_ms


def _run(session: Any, path: Path, watch: Stopwatch | None = None) -> tuple[int, str]:
    """The number of frames that the network was shown, and how they were preprocessed."""
    watch = watch or Stopwatch()
    if not session.manifest.streaming:
        _, clip = recognize_clip(session, path, None, watch)
        return clip.indices.size, clip.method
    from edgevid.video.decode import read_frames

    follower = Follower(session, watch)
    for _ in follower.follow(read_frames(path, decoder_threads(session), watch)):
        pass
    return follower.frames, follower.method

"""Run an open bundle on a video, as one clip or frame by frame, and time each stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from edgevid.errors import EdgevidError
from edgevid.host.processor import usable_threads
from edgevid.specs import Manifest
from edgevid.video.clips import Clip, load_clip
from edgevid.video.frame import Frame
from edgevid.video.predictions import Change, Changes
from edgevid.video.source import Source
from edgevid.video.transforms import Preprocess


class Session(Protocol):
    """What is used of an open bundle (``edgevid.session.Session``)."""

    manifest: Manifest
    labels: list[str] | None
    threads: int

    def run(self, clip: np.ndarray) -> dict[str, np.ndarray]: ...

    def stream(self) -> Any: ...


Predict = Callable[[np.ndarray], np.ndarray | None]
"""From a preprocessed frame, float32 (3, H, W), to logits (classes,); None while there are too few frames."""


class Stopwatch:
    """Adds up wall-clock time, in milliseconds, by part of the work; the total runs from its creation."""

    def __init__(self) -> None:
        self.ms = {"decoding": 0.0, "preprocessing": 0.0, "inference": 0.0}
        self._start_s = time.perf_counter()

    @contextlib.contextmanager
    def measure(self, part: str) -> Iterator[None]:
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self.ms[part] += 1e3 * (time.perf_counter() - start_s)

    def with_total(self) -> dict[str, float]:
        """The parts and ``total``, which is more than their sum: printing and the like are in it."""
        return {**self.ms, "total": 1e3 * (time.perf_counter() - self._start_s)}


def recognize_clip(
    session: Session, path: Source, sampling: str | None, watch: Stopwatch
) -> tuple[np.ndarray, Clip]:
    """Run a clip bundle once on a file; an image classifier runs on each frame, and its logits are averaged.

    Returns float32 logits of shape (classes,) and the clip.
    """
    manifest = session.manifest
    clip = load_clip(path, manifest.preprocessing, manifest.frames, sampling)
    watch.ms["decoding"] += clip.decoding_ms
    watch.ms["preprocessing"] += clip.preprocessing_ms
    with watch.measure("inference"):
        if len(manifest.inputs[0].shape) == 4:
            each = [first_logits(session.run(frame[None])) for frame in clip.data[0]]
            return np.mean(each, axis=0), clip
        return first_logits(session.run(clip.data)), clip


class Follower:
    """Feeds frames to a network one by one; keeps its predictions and the time of each stage.

    ``mean_logits`` is over every frame so far and ``recent_logits`` over the last few (T of the manifest),
    both of shape (classes,).
    """

    def __init__(self, session: Session, watch: Stopwatch) -> None:
        manifest = session.manifest
        self.watch = watch
        self.frames = 0
        self._predictions = 0
        self._sum: np.ndarray | None = None
        self._changes = Changes(session.labels, window=manifest.frames if manifest.streaming else 1)
        self._transform = Preprocess(manifest.preprocessing)
        self._predict = _by_stream(session) if manifest.streaming else _by_window(session)

    @property
    def changes(self) -> list[Change]:
        return self._changes.history

    @property
    def mean_logits(self) -> np.ndarray:
        if self._sum is None:
            raise EdgevidError(f"too few frames for a prediction ({self.frames}): run for longer")
        return self._sum / self._predictions

    @property
    def recent_logits(self) -> np.ndarray:
        return self._changes.smoothed if self._predictions else self.mean_logits

    def follow(self, frames: Iterable[Frame]) -> Iterator[Change | None]:
        """Go through ``frames``; yield, after each, the change of the best class that it brought, if any."""
        source = iter(frames)
        current: np.ndarray | None = None
        ready: np.ndarray | None = None
        while True:
            with self.watch.measure("decoding"):
                frame = next(source, None)
            if frame is None:
                return
            with self.watch.measure("preprocessing"):
                if frame.image is not current:  # at a higher rate than the video's, frames repeat
                    current, ready = frame.image, self._transform(frame.image)
            assert ready is not None  # the first frame was transformed
            with self.watch.measure("inference"):
                logits = self._predict(ready)
            self.frames += 1
            yield None if logits is None else self._take(frame.time_s, logits)

    def _take(self, time_s: float, logits: np.ndarray) -> Change | None:
        self._predictions += 1
        self._sum = logits.astype(np.float64) if self._sum is None else self._sum + logits
        return self._changes.update(time_s, logits)


def decoder_threads(session: Session) -> int:
    """How many threads may decode while the network runs: the cores that it leaves, or one.

    ONNX Runtime's threads keep their cores busy between two frames. On two cores, a decoder that also took
    both made each frame of ``tsm_mbv2_online`` twice as slow as a decoder with one thread.
    """
    return max(1, usable_threads() - session.threads)


def first_logits(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """The logits, shape (classes,), of the only clip of a batch; they are a bundle's first output."""
    name, logits = next(iter(outputs.items()))
    if logits.ndim != 2:
        raise EdgevidError(
            f"output '{name}' has shape {logits.shape}, not (N, classes): "
            "'edgevid run' supports classifiers only; use edgevid.open(...) in Python for other outputs"
        )
    return logits[0]


def _by_stream(session: Session) -> Predict:
    stream = session.stream()
    return lambda frame: first_logits(stream.push(frame[None]))


def _by_window(session: Session) -> Predict:
    """A window of the last T frames; it slides by one frame."""
    crop, length = session.manifest.preprocessing.crop, session.manifest.frames
    window = np.empty((1, length, 3, crop, crop), dtype=np.float32)
    is_image = len(session.manifest.inputs[0].shape) == 4
    count = 0

    def predict(frame: np.ndarray) -> np.ndarray | None:
        nonlocal count
        if is_image:
            return first_logits(session.run(frame[None]))
        window[:, :-1] = window[:, 1:]
        window[:, -1] = frame
        count += 1
        return first_logits(session.run(window)) if count >= length else None

    return predict

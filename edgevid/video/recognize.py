"""Run an open bundle on a video, as one clip or frame by frame, and time each stage."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from edgevid.errors import EdgevidError
from edgevid.host.processor import usable_threads
from edgevid.specs import Manifest
from edgevid.video.clips import Clip, load_clip
from edgevid.video.frame import Frame, Picture
from edgevid.video.pipeline import ahead
from edgevid.video.predictions import Change, Changes
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.source import Source
from edgevid.video.stopwatch import Stopwatch

MAX_DELAYS = 10_000
"""Delays that are kept: a camera may be watched for months."""


class Session(Protocol):
    """What is used of an open bundle (``edgevid.session.Session``)."""

    manifest: Manifest
    labels: list[str] | None
    threads: int

    def run(self, clip: np.ndarray) -> dict[str, np.ndarray]: ...

    def stream(self) -> Any: ...


Predict = Callable[[np.ndarray], np.ndarray | None]
"""From a preprocessed frame, float32 (3, H, W), to logits (classes,); None while there are too few frames."""


def recognize_clip(
    session: Session, path: Source, sampling: str | None, watch: Stopwatch, exact: bool = False
) -> tuple[np.ndarray, Clip]:
    """Run a clip bundle once on a file; an image classifier runs on each frame, and its logits are averaged.

    ``exact`` is of :class:`FramePreprocessor`. Returns float32 logits of shape (classes,) and the clip.
    """
    manifest = session.manifest
    clip = load_clip(path, manifest.preprocessing, manifest.frames, sampling, watch=watch, exact=exact)
    with watch.measure("inference"):
        if len(manifest.inputs[0].shape) == 4:
            each = [first_logits(session.run(frame[None])) for frame in clip.data[0]]
            return np.mean(each, axis=0), clip
        return first_logits(session.run(clip.data)), clip


class Input(NamedTuple):
    """A frame as the network takes it, float32 (3, H, W), with the times of its :class:`Frame`."""

    data: np.ndarray
    time_s: float
    captured_s: float


class Follower:
    """Feeds frames to a network one by one; keeps its predictions, the time of each stage and the delays.

    ``mean_logits`` is over every frame so far and ``recent_logits`` over the last few (T of the manifest),
    both of shape (classes,). ``delays_ms`` are from the capture of a frame to its prediction, of the last
    frames. ``method`` is how frames are preprocessed.
    """

    def __init__(self, session: Session, watch: Stopwatch, exact: bool = False) -> None:
        manifest = session.manifest
        self.watch = watch
        self.frames = 0
        self.delays_ms: deque[float] = deque(maxlen=MAX_DELAYS)
        self._predictions = 0
        self._sum: np.ndarray | None = None
        self._changes = Changes(session.labels, window=manifest.frames if manifest.streaming else 1)
        self._preprocess = FramePreprocessor(manifest.preprocessing, exact)
        self._predict = predictor(session)

    @property
    def method(self) -> str:
        return self._preprocess.method

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

    def follow(self, frames: Iterable[Frame], live: bool = False) -> Iterator[Change | None]:
        """Go through ``frames``; yield, after each, the change of the best class that it brought, if any.

        Frames are decoded and preprocessed in another thread while the network runs. Those of a ``live``
        source are not: its own thread decodes, and an input made ahead would be older than the newest frame.
        """
        inputs = self._inputs(frames)
        with contextlib.nullcontext(inputs) if live else ahead(inputs) as ready:
            for data, time_s, captured_s in ready:
                with self.watch.measure("inference"):
                    logits = self._predict(data)
                self.delays_ms.append(1e3 * (time.monotonic() - captured_s))
                self.frames += 1
                yield None if logits is None else self._take(time_s, logits)

    def _inputs(self, frames: Iterable[Frame]) -> Generator[Input]:
        current: Picture | None = None
        data: np.ndarray | None = None
        for picture, time_s in frames:
            if picture is not current:  # at a higher rate than the video's, frames repeat
                with self.watch.measure("preprocessing"):
                    current, data = picture, self._preprocess(picture)
            assert data is not None  # the first picture was preprocessed
            yield Input(data, time_s, picture.captured_s)

    def _take(self, time_s: float, logits: np.ndarray) -> Change | None:
        self._predictions += 1
        self._sum = logits.astype(np.float64) if self._sum is None else self._sum + logits
        return self._changes.update(time_s, logits)


def decoder_threads(session: Session) -> int:
    """How many threads may decode while the network runs: the cores that it leaves, but two if there are.

    One decodes while the picture of the other is preprocessed. Measured on two loaded cores (EPYC 7003, ONNX
    Runtime 1.32, ``tsm_mbv2_online``, 6 interleaved rounds of fresh processes), wall time relative to turns
    with a spinning runtime, for 1080p and 340x256 H.264; then relative processor time:

        decoder and network threads    wall          processor
        1 and 2                        0.57, 0.39    0.54, 0.48
        2 and 2                        0.44, 0.32    0.50, 0.49
        1 and 1                        0.40, 0.40    0.46, 0.43
        2 and 1                        0.44, 0.37    0.49, 0.45

    One thread for the network suits a large picture as well, but nothing shares the work of a small one.
    """
    cores = usable_threads()
    return max(min(2, cores), cores - session.threads)


def first_logits(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """The logits, shape (classes,), of the only clip of a batch; they are a bundle's first output."""
    name, logits = next(iter(outputs.items()))
    if logits.ndim != 2:
        raise EdgevidError(
            f"output '{name}' has shape {logits.shape}, not (N, classes): "
            "'edgevid run' supports classifiers only; use edgevid.open(...) in Python for other outputs"
        )
    return logits[0]


def predictor(session: Session) -> Predict:
    """Takes frame by frame; a clip bundle predicts from a window of the last frames."""
    return _by_stream(session) if session.manifest.streaming else _by_window(session)


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

"""From the pieces of videos to what an open bundle predicts for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevid.benchmarks.evaluation.metrics import best_classes
from edgevid.benchmarks.evaluation.protocols import PROBABILITIES, Protocol
from edgevid.benchmarks.evaluation.readers import Kind, Piece
from edgevid.benchmarks.evaluation.records import Record, Skipped, record_of
from edgevid.benchmarks.evaluation.views import FRACTIONS, frames_seen
from edgevid.video.predictions import softmax
from edgevid.video.recognize import first_logits


class Network:
    """Takes the pieces of several videos at a time, each video's in order.

    ``outputs`` (classes,) is the network's output for each class of the data set (``labels.matching``). With
    ``early`` a record has the best class by the fraction of frames seen: of a clip bundle the views are that,
    of a streaming one it comes with the frames.
    """

    def __init__(self, session: Any, protocol: Protocol, outputs: np.ndarray, early: bool = False) -> None:
        self._session, self._protocol, self._outputs, self._early = session, protocol, outputs, early
        self._is_stream = session.manifest.streaming
        self._takes_images = not self._is_stream and len(session.manifest.inputs[0].shape) == 4
        self._videos: dict[str, _Video] = {}
        self._streams: list[Any] = []

    def take(self, piece: Piece) -> Record | Skipped | None:
        """What became of the video if this is its last piece."""
        name = piece.video.name
        video = self._videos.setdefault(name, _Video())
        if piece.kind is Kind.VIEW:
            assert piece.data is not None  # a view has data
            video.views.append(self._logits(piece.data))
        elif piece.kind is Kind.START:
            video.online = self._start(video.online, piece.frames)
        elif piece.kind is Kind.FRAME:
            assert video.online is not None and piece.data is not None  # after START
            video.online.push(piece.data)
        else:
            del self._videos[name]
            if video.online is not None:
                self._streams.append(video.online.stream)
            if piece.kind is Kind.UNREADABLE:
                return Skipped(name, str(piece.video.path), piece.why)
            return self._record(name, piece.video.label, video)
        return None

    def _logits(self, view: np.ndarray) -> np.ndarray:
        """float64 (classes,); of a network of frames, the mean over T."""
        if self._is_stream:
            stream = self._stream()
            each = [first_logits(stream.push(frame[None])) for frame in view]
            self._streams.append(stream)
        elif self._takes_images:
            each = [first_logits(self._session.run(frame[None])) for frame in view]
        else:
            each = [first_logits(self._session.run(view[None]))]
        return np.array(each, np.float64).mean(axis=0)

    def _start(self, online: _Online | None, frames: int) -> _Online:
        if online is not None:
            self._streams.append(online.stream)
        return _Online(self._stream(), frames)

    def _stream(self) -> Any:
        """A stream with states of zero."""
        if not self._streams:
            return self._session.stream()
        stream = self._streams.pop()
        stream.reset()
        return stream

    def _record(self, name: str, label: int, video: _Video) -> Record:
        views = np.array(video.views)[:, self._outputs]
        early = online = np.empty(0, np.int64)
        if self._early and not self._is_stream:
            early, views = np.argmax(views, axis=1), views[-1:]
        if self._protocol.average == PROBABILITIES:
            probabilities = softmax(views).mean(axis=0)
        else:
            probabilities = softmax(views.mean(axis=0))
        if video.online is not None:
            online = best_classes(video.online.mean[self._outputs])
            if self._early:
                early = np.argmax(np.array(video.online.early)[:, self._outputs], axis=1)
        return record_of(name, label, probabilities, online, early)


class _Video:
    """What is known of a video so far."""

    def __init__(self) -> None:
        self.views: list[np.ndarray] = []
        self.online: _Online | None = None


class _Online:
    """Every frame of a video through one stream; the prediction is the mean of the logits so far."""

    def __init__(self, stream: Any, total_frames: int) -> None:
        self.stream = stream
        self.early: list[np.ndarray] = []
        self._sum: np.ndarray | None = None
        self._frames = 0
        self._marks = [frames_seen(total_frames, fraction) for fraction in FRACTIONS]

    @property
    def mean(self) -> np.ndarray:
        assert self._sum is not None  # a video has a frame
        return self._sum / self._frames

    def push(self, frame: np.ndarray) -> None:
        logits = first_logits(self.stream.push(frame[None])).astype(np.float64)
        self._sum = logits if self._sum is None else self._sum + logits
        self._frames += 1
        self.early += [self.mean] * self._marks.count(self._frames)

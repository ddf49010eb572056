"""The maps of one class for each frame that a network saw, and its confidence at that moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.errors import EdgevidError
from edgevid.specs import Preprocessing
from edgevid.specs.explanation import MAPS
from edgevid.specs.registry import check_choice
from edgevid.video.clips import Clip
from edgevid.video.frame import Frame
from edgevid.video.predictions import softmax
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.recognize import Session, first_logits


@dataclass(frozen=True)
class Explanation:
    """``maps``: float32 ``(frames, h, w)``, each of the class in ``classes``; below zero speaks against it.

    ``indices`` are the frames of the video, at ``times_s`` seconds. ``probabilities`` are ``(frames,
    classes)``: over the last T frames of a stream, the whole clip's of a clip. ``logits``, ``(classes,)``,
    are the clip's, or the mean over a stream.
    """

    maps: np.ndarray
    classes: np.ndarray
    indices: np.ndarray
    times_s: np.ndarray
    probabilities: np.ndarray
    logits: np.ndarray


def explain_clip(session: Session, clip: Clip, class_index: int | None) -> Explanation:
    """Of ``class_index``, by default of the best class; an image classifier runs on each frame."""
    if len(session.manifest.inputs[0].shape) == 4:
        runs = [session.run(frame[None]) for frame in clip.data[0]]
        logits = np.mean([first_logits(outputs) for outputs in runs], axis=0)
        maps = np.concatenate([outputs[MAPS] for outputs in runs])
    else:
        outputs = session.run(clip.data)
        logits, maps = first_logits(outputs), outputs[MAPS]
    shown = int(logits.argmax()) if class_index is None else class_index
    return of_clip(clip, maps[:, shown], logits, shown)


def of_clip(clip: Clip, maps: np.ndarray, logits: np.ndarray, class_index: int) -> Explanation:
    """From the maps ``(steps, h, w)`` of a class; a network that halves the frames has a step for two."""
    indices = clip.indices[0]
    frames = len(indices)
    return Explanation(
        maps[np.arange(frames) * len(maps) // frames],
        np.full(frames, class_index),
        indices,
        indices / (clip.timeline.frame_rate or np.inf),
        np.broadcast_to(softmax(logits), (frames, len(logits))),
        logits,
    )


def explain_stream(session: Session, frames: Iterable[Frame], class_index: int | None) -> Explanation:
    """Of ``class_index``, by default of the class that leads at that moment."""
    manifest = session.manifest
    stream, preprocess = session.stream(), FramePreprocessor(manifest.preprocessing)
    recent: deque[np.ndarray] = deque(maxlen=manifest.frames)
    maps, classes, times_s, probabilities, every = [], [], [], [], []
    for picture, time_s in frames:
        outputs = stream.push(preprocess(picture)[None])
        every.append(first_logits(outputs))
        recent.append(every[-1])
        mean = np.mean(recent, axis=0)
        classes.append(int(mean.argmax()) if class_index is None else class_index)
        maps.append(outputs[MAPS][0, classes[-1]])
        probabilities.append(softmax(mean))
        times_s.append(time_s)
    return Explanation(
        np.stack(maps),
        np.array(classes),
        np.arange(len(maps)),
        np.array(times_s),
        np.stack(probabilities),
        np.mean(every, axis=0),
    )


def preprocessed(frames: Iterable[Frame], preprocessing: Preprocessing) -> Generator[np.ndarray]:
    """Each frame as the network sees it, float32 ``(3, crop, crop)``."""
    preprocess = FramePreprocessor(preprocessing)
    for picture, _ in frames:
        yield preprocess(picture)


def find_class(name: str, labels: Sequence[str] | None, classes: int) -> int | None:
    """The index of a label or of a number; None for ``top1``. An unknown name raises the close ones."""
    if labels is not None and name in labels:
        return labels.index(name)
    if name == "top1":
        return None
    if name.isdecimal() and int(name) < classes:
        return int(name)
    if labels is None or name.isdecimal():
        raise EdgevidError(
            f"there is no class {name}: --class takes a number from 0 to {classes - 1}, or top1"
        )
    check_choice("class", name, labels, "choose a label of 'edgevid run BUNDLE --video FILE --top 20'")
    raise AssertionError("check_choice refuses what is no label")

"""Explain a video file: run the network on it, write the files and describe them as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.video.clips import Clip
from edgevid.video.decode import VideoInfo, read_frames
from edgevid.video.explain.explanation import Explanation, explain_stream, preprocessed
from edgevid.video.explain.write import confidence_of, draw_confidence, write_arrays, write_pictures
from edgevid.video.predictions import top_predictions
from edgevid.video.recognize import Session, decoder_threads
from edgevid.video.source import Source

logger = logging.getLogger("edgevid")

TOP = 5
DEFAULT_RATE = 25.0

Progress = Callable[[Iterable[Any], int, str], Iterator[Any]]
"""Passes items on and shows how many there are, of what count, under what text."""


def write_clip(
    session: Session, clip: Clip, explanation: Explanation, method: str, folder: Path
) -> dict[str, Any]:
    """The written video shows the clip's frames for as long as the whole video lasts, at a whole rate."""
    rate = len(explanation.maps) / (clip.timeline.duration_s or 1.0)
    preprocessing = session.manifest.preprocessing
    write_pictures(folder, explanation, clip.data[0], preprocessing, session.labels, rate)
    write_arrays(folder, explanation)
    return describe(session, explanation, method)


def write_stream(
    session: Session, source: Source, info: VideoInfo, shown: int | None, folder: Path, progress: Progress
) -> dict[str, Any]:
    """The video is decoded twice: the scale of the maps is known at the end only."""
    threads, count = decoder_threads(session), info.frames or 0
    frames = progress(read_frames(source, threads), count, "running the network")
    explanation = explain_stream(session, frames, shown)
    preprocessing = session.manifest.preprocessing
    again = preprocessed(
        progress(read_frames(source, threads), len(explanation.maps), "drawing"), preprocessing
    )
    rate = info.frame_rate or DEFAULT_RATE
    write_pictures(folder, explanation, again, preprocessing, session.labels, rate)
    write_arrays(folder, explanation)
    confidence = confidence_of(explanation, session.labels, TOP)
    if not draw_confidence(folder, confidence, f"{session.manifest.model}, {Path(info.path).name}"):
        logger.warning("no chart of the confidence, which needs matplotlib: pip install 'edgevid[report]'")
    return {**describe(session, explanation, "CAM"), "confidence": confidence}


def describe(session: Session, explanation: Explanation, method: str) -> dict[str, Any]:
    """``class`` is the one that is shown; None where each frame of a stream shows its own."""
    shown, labels = sorted({int(index) for index in explanation.classes}), session.labels
    return {
        "method": method,
        "class": None if len(shown) > 1 else {"index": shown[0], "label": labels and labels[shown[0]]},
        "map_size": list(explanation.maps.shape[1:]),
        "predictions": [asdict(p) for p in top_predictions(explanation.logits, labels, TOP)],
        "frames": [
            {
                "index": int(index),
                "time_s": round(float(time_s), 4),
                "class": int(shown),
                "probability": float(probabilities[shown]),
                "peak": _peak(strengths),
                "peak_value": float(strengths.max()),
            }
            for strengths, shown, index, time_s, probabilities in zip(
                explanation.maps,
                explanation.classes,
                explanation.indices,
                explanation.times_s,
                explanation.probabilities,
            )
        ],
    }


def _peak(strengths: np.ndarray) -> list[float]:
    """The middle of the strongest cell as x and y, in parts of the network's input."""
    y, x = divmod(int(strengths.argmax()), strengths.shape[1])
    return [(x + 0.5) / strengths.shape[1], (y + 0.5) / strengths.shape[0]]

"""Events on labelled streams: how many are right, how many were missed, and after how many frames.

Frames are those that the network sees, every second one of the video.

python score.py BUNDLE STREAMS [--json FILE]
python score.py BUNDLE STREAMS --validation     the streams that cut.py held out, to choose settings on
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from command import add_settings, classes_of, parser_of, run, settings_of
from cut import EVERY, held_out
from events import Detector, Event, Settings

import edgevid
from edgevid.session import Session
from edgevid.video.datasets.streams import LabelledStream, open_streams
from edgevid.video.decode import read_frames
from edgevid.video.preprocess import FramePreprocessor

LATE = 6
"""So many frames after the end of an activity its event still counts: the average takes a while."""


@dataclass(frozen=True)
class Segment:
    activity: str
    first: int
    last: int


def segments(names: Sequence[str], idle: str) -> list[Segment]:
    """The activities of a stream, from the class of each frame."""
    found, first = [], 0
    for name, group in itertools.groupby(names):
        last = first + len(list(group)) - 1
        if name != idle:
            found.append(Segment(name, first, last))
        first = last + 1
    return found


def match(events: Sequence[Event], truth: Sequence[Segment]) -> list[tuple[Event, Segment | None]]:
    """Each event and the activity that it is right about; one activity makes one event right."""
    left, pairs = list(truth), []
    for event in events:
        right = next(
            (
                segment
                for segment in left
                if segment.activity == event.activity and segment.first <= event.raised <= segment.last + LATE
            ),
            None,
        )
        if right is not None:
            left.remove(right)
        pairs.append((event, right))
    return pairs


def logits_of(session: Session, stream: LabelledStream) -> np.ndarray:
    """Of each frame that the network sees, ``(frames, classes)``."""
    state, preprocess = session.stream(), FramePreprocessor(session.manifest.preprocessing)
    frames = itertools.islice(read_frames(stream.path), 0, None, EVERY)
    return np.stack([state.push(preprocess(frame.picture)[None])["logits"][0] for frame in frames])


def events_of(logits: np.ndarray, classes: Sequence[str], settings: Settings) -> list[Event]:
    detector = Detector(classes, settings)
    changes = [change for frame in logits for change in detector.update(frame)] + detector.finish()
    return [event for what, event in changes if what == "start"]


def summary(
    streams: Sequence[tuple[np.ndarray, Sequence[str]]], classes: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Over all streams, given as the logits and the true class of each frame."""
    pairs, activities, wrong = [], 0, 0
    for logits, names in streams:
        truth = segments(names, settings.idle)
        activities += len(truth)
        pairs += match(events_of(logits, classes, settings), truth)
        wrong += sum(classes[best] != name for best, name in zip(logits.argmax(1), names))
    right = [(event, segment) for event, segment in pairs if segment is not None]
    delays = [event.raised - segment.first for event, segment in right]
    shares = [
        (event.raised - segment.first + 1) / (segment.last - segment.first + 1) for event, segment in right
    ]
    frames = sum(len(logits) for logits, _ in streams)
    return {
        "streams": len(streams),
        "frames": frames,
        "frame_accuracy": 1 - wrong / frames,
        "activities": activities,
        "events": len(pairs),
        "right": len(right),
        "precision": len(right) / len(pairs) if pairs else None,
        "recall": len(right) / activities if activities else None,
        "delay_frames": _spread(delays),
        "share_of_the_activity_seen": _spread(shares),
        "raised_before_its_end": sum(share <= 1 for share in shares) / len(shares) if shares else None,
        "settings": asdict(settings),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": statistics.median(values), "p90": float(np.percentile(values, 90))}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("bundle")
    parser.add_argument("streams", type=Path)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--json", type=Path)
    add_settings(parser)
    options = parser.parse_args()
    dataset = open_streams(options.streams, "train" if options.validation else "test")
    chosen = held_out(dataset.streams) if options.validation else dataset.streams
    session, settings = edgevid.open(options.bundle), settings_of(parser, options)
    classes = classes_of(session, settings)
    pairs = [
        (logits_of(session, stream), [dataset.classes[label] for label in stream.labels[::EVERY]])
        for stream in chosen
    ]
    text = json.dumps(summary(pairs, classes, settings), indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    run(main)

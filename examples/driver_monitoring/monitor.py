"""Watch a file or a camera: events as JSON lines, and the video with what the network says.

python monitor.py BUNDLE --video FILE --log events.jsonl --overlay seen.mp4
python monitor.py BUNDLE --camera 0
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import numpy as np
from command import add_settings, classes_of, parser_of, run, settings_of
from events import Detector, Event
from PIL import Image, ImageDraw

import edgevid
from edgevid.session import Session
from edgevid.video.camera import open_camera
from edgevid.video.decode import read_frames
from edgevid.video.encode import write_h264
from edgevid.video.frame import Frame
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.sampling import frames_as_they_come, frames_at_rate

WIDTH, LINE, MARGIN = 480, 16, 6
"""Of the overlay, in pixels."""

BAR = (70, 160, 90)

AT_ONCE = {"preset": "veryfast", "tune": "zerolatency"}
"""No frame waits in the encoder, so that Ctrl-C loses none."""


def watch(
    session: Session, frames: Iterable[Frame], detector: Detector, log: TextIO
) -> Iterator[tuple[Frame, Detector]]:
    """Push frame after frame into the network, write events, and give each frame when it is done."""
    stream, preprocess = session.stream(), FramePreprocessor(session.manifest.preprocessing)
    time_s = 0.0
    try:
        for frame in frames:
            time_s = frame.time_s
            logits = stream.push(preprocess(frame.picture)[None])["logits"][0]
            _write(log, time_s, detector.update(logits))
            yield frame, detector
    finally:
        _write(log, time_s, detector.finish())


def _write(log: TextIO, time_s: float, changes: Iterable[tuple[str, Event]]) -> None:
    for what, event in changes:
        print(json.dumps({"what": what, "time_s": round(time_s, 3), **asdict(event)}), file=log, flush=True)


def overlaid(image: np.ndarray, detector: Detector) -> np.ndarray:
    """The frame with the three likeliest activities as bars, and the event that goes on."""
    height = round(image.shape[0] * WIDTH / image.shape[1] / 2) * 2
    picture = Image.fromarray(image).resize((WIDTH, height))
    draw = ImageDraw.Draw(picture)
    for row, index in enumerate(np.argsort(-detector.average)[:3]):
        share, top = detector.average[index], MARGIN + row * LINE
        draw.rectangle((MARGIN, top, MARGIN + share * WIDTH / 2, top + LINE - 2), fill=BAR)
        draw.text((2 * MARGIN, top), f"{detector.classes[index]} {share:.0%}", fill="white")
    if detector.event:
        draw.rectangle((0, height - LINE - MARGIN, WIDTH, height), fill="black")
        draw.text((MARGIN, height - LINE), f"EVENT: {detector.event.activity}", fill="yellow")
    return np.asarray(picture)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("bundle")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", type=Path)
    source.add_argument("--camera", type=int, metavar="N", help="until Ctrl-C")
    parser.add_argument("--log", type=Path, help="JSON lines [default: stdout]")
    parser.add_argument("--overlay", type=Path, metavar="FILE.mp4")
    parser.add_argument("--fps", type=float, default=6, help="frame rate of the training [default: 6]")
    add_settings(parser)
    options = parser.parse_args()

    session = edgevid.open(options.bundle, shares_cores=True)
    settings = settings_of(parser, options)
    detector = Detector(classes_of(session, settings), settings)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("a")) if options.log else sys.stdout
        if options.video:
            frames = frames_at_rate(read_frames(options.video), options.fps, str(options.video))
        else:
            _, reader = stack.enter_context(open_camera(options.camera))
            frames = frames_as_they_come(reader, options.fps)
            stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        watched = watch(session, frames, detector, log)
        stack.enter_context(contextlib.closing(watched))
        if options.overlay:
            images = (overlaid(frame.image, detector) for frame, detector in watched)
            write_h264(options.overlay, images, round(options.fps), AT_ONCE)
        else:
            for _ in watched:
                pass


if __name__ == "__main__":
    run(main)

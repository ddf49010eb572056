"""Cut labelled streams into short clips of one class each, which ``edgevid train`` reads.

    python cut.py STREAMS CLIPS

The last tenth of the streams in train becomes the clips' test split; STREAMS' own test split is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from command import parser_of, run

from edgevid.video.datasets.streams import open_streams
from edgevid.video.decode import read_frames
from edgevid.video.encode import write_h264

FRAMES, STEP, EVERY = 16, 8, 2
"""Of a clip, from one clip to the next, and from one frame that the network sees to the next: from one frame
to its neighbor at 12 frames/s little moves in a picture of 32 pixels."""

OF_ONE_CLASS = 0.75
"""Share of a clip's frames that must have the class of its last one; the others teach nothing clear."""

FINE = {"qp": "20", "g": "1", "preset": "ultrafast"}
FRAME_RATE = 12
T = TypeVar("T")


def held_out(streams: Sequence[T]) -> Sequence[T]:
    """The streams of train that no clip for training is cut from."""
    return streams[-max(1, len(streams) // 10) :]


def windows(names: Sequence[str], idle: str) -> Iterator[tuple[int, str]]:
    """The first frame of each clip, and its class; of idle, every other one is enough."""
    for first in range(0, len(names) - FRAMES + 1, STEP):
        inside = names[first : first + FRAMES]
        is_spare = inside[-1] == idle and first % (2 * STEP)
        if inside.count(inside[-1]) >= OF_ONE_CLASS * FRAMES and not is_spare:
            yield first, inside[-1]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("streams", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--idle", default="idle", help="the class that is no activity [default: idle]")
    options = parser.parse_args()
    dataset = open_streams(options.streams, "train")
    validation = held_out(dataset.streams)
    for stream in dataset.streams:
        split = options.clips / ("test" if stream in validation else "train")
        images = [frame.image for frame in read_frames(stream.path)]
        for first, name in windows([dataset.classes[i] for i in stream.labels], options.idle):
            (split / name).mkdir(parents=True, exist_ok=True)
            clip = split / name / f"{stream.name}-{first:05d}.mp4"
            write_h264(clip, images[first : first + FRAMES], FRAME_RATE, FINE)


if __name__ == "__main__":
    run(main)

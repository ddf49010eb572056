"""Write the digits as videos, with a manifest that says how they were made."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from edgevid.host.files import atomic_folder
from edgevid.video.datasets.dataset import DatasetError
from edgevid.video.datasets.digits.activities import CLASSES
from edgevid.video.datasets.digits.clips import Options, Rendered, render_clips
from edgevid.video.datasets.digits.streams import STREAM_CLASSES, render_streams
from edgevid.video.datasets.streams import CLASS_LIST, COLUMNS
from edgevid.video.encode import write_h264

MANIFEST = "dataset.json"
VERSION = 1
"""Of what is drawn for a seed."""

FRAME_RATE = 12

EACH_FRAME_ALONE = {"qp": "28", "g": "1", "preset": "veryfast"}
"""Then a video backwards decodes to the same frames backwards, and no trace of coding tells the direction."""

Shown = Callable[[Iterable[Rendered], int], Iterable[Rendered]]
"""Passes videos on, and shows how many of how many are done."""


def write_digits(
    folder: Path, options: Options, streaming: bool, shown: Shown = lambda videos, count: videos
) -> dict[str, Any]:
    """Make ``folder`` and give its manifest; if it has these very videos, it stays as it is.

    Raises ``DatasetError`` if it has something else, or without scikit-learn.
    """
    manifest = _manifest(options, streaming)
    there = _read_manifest(folder)
    if there is not None:
        if any(there.get(key) != value for key, value in manifest.items()):
            raise DatasetError(f"'{folder}' has something else: choose another folder, or remove it")
        return there
    digest = hashlib.sha256()
    videos = render_streams(options) if streaming else render_clips(options)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as made:
        for video in shown(videos, manifest["count"]):
            _write(made / video.path, video)
            digest.update(video.images.tobytes())
        manifest["frames_sha256"] = digest.hexdigest()
        if streaming:
            (made / CLASS_LIST).write_text("".join(f"{name}\n" for name in manifest["classes"]))
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _manifest(options: Options, streaming: bool) -> dict[str, Any]:
    train, test = options.videos
    classes = STREAM_CLASSES if streaming else CLASSES
    kind = " --streaming" if streaming else ""
    return {
        "name": "digits",
        "version": VERSION,
        "command": f"edgevid dataset digits{kind} --seed {options.seed} --videos {train} {test} "
        f"--size {options.size} --frames {options.frames}",
        "seed": options.seed,
        "streaming": streaming,
        "count": (train + test) * (1 if streaming else len(classes)),
        "size": options.size,
        "frames": options.frames,
        "frame_rate": FRAME_RATE,
        "classes": list(classes),
    }


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """That of a folder which was written before, empty if it has none; None if nothing is there."""
    try:
        if not any(folder.iterdir()):
            return None
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return {} if folder.exists() else None
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _write(path: Path, video: Rendered) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_h264(path.with_suffix(".mp4"), video.images, FRAME_RATE, EACH_FRAME_ALONE)
    if video.activities is None:
        return
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_ranges(video.activities))


def _ranges(activities: Sequence[str]) -> Iterable[tuple[int, int, str]]:
    """The first and last frame of each activity, and its name."""
    for name, group in itertools.groupby(enumerate(activities), key=lambda each: each[1]):
        frames = [number for number, _ in group]
        yield frames[0], frames[-1], name

"""The names of the classes of a data set: one label per line, the line number (from 0) is the class index.

Kinetics-400 is in alphabetical order as in ``tools/kinetics_label_map.txt`` of the official TSM code;
Something-Something V1 and V2 are in its sorted order too (the 174 sentences are the same); Jester is in the
order of its online demo.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgevid.errors import EdgevidError
from edgevid.specs.registry import check_choice

FOLDER = Path(__file__).parent / "labels"

_DEFAULTS = {400: "kinetics400", 174: "something-something-v2", 27: "jester"}


def label_sets() -> list[str]:
    """The names that :func:`read_labels` knows."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def default_label_set(classes: int) -> str | None:
    """The most likely label set of a network with this number of classes, or None."""
    return _DEFAULTS.get(classes)


def read_labels(name_or_path: str | os.PathLike[str]) -> list[str]:
    """Read a built-in label set, or a text file with one label per line.

    Raises ``UnknownNameError`` (with the nearest names) if it is neither, and ``EdgevidError`` if the file
    is not text, is empty, or has a blank line, which would shift every later index.
    """
    name = str(name_or_path)
    path = FOLDER / f"{name}.txt" if name in label_sets() else Path(name)
    if not path.is_file():
        remedy = f"use {', '.join(label_sets())}, or a text file with one label per line"
        check_choice("label set", name, label_sets(), remedy)
    try:
        labels = [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except UnicodeDecodeError:
        raise EdgevidError(f"'{name}' is not UTF-8 text: save it as text with one label per line") from None
    if not labels:
        raise EdgevidError(f"'{name}' has no labels: write one label per line")
    if "" in labels:
        raise EdgevidError(f"line {labels.index('') + 1} of '{name}' is blank: remove it, one label per line")
    return labels

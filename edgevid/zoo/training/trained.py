"""What a checkpoint of ``edgevid train`` says about itself, for exports, teachers and continued trainings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgevid.specs import Preprocessing
from edgevid.specs.records import Rules, at_least, decode, matches, one_of, parse, positive

KEY = "edgevid"
"""The key of the record, JSON text, next to the ``state_dict``."""

MAX_SIDE = 1 << 15
MAX_FRAMES = 1 << 12
MAX_WIDTH = 4.0


@dataclass(frozen=True)
class Trained:
    """The network ``model`` at ``width``, and the input that it was trained for; ``classes`` are names."""

    model: str
    frames: int
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    width: float = 1.0

    @property
    def options(self) -> dict[str, Any]:
        """Options of the network's builder that are not its defaults."""
        return {} if self.width == 1 else {"width": self.width}

    def as_json(self) -> str:
        return json.dumps(asdict(self))


RULES: Rules = {
    Trained: {
        "frames": at_least(1, MAX_FRAMES),
        "classes": matches(r"\S(.*\S)?", "a name"),
        "width": lambda value: positive(value) or at_least(0, MAX_WIDTH)(value),
    },
    Preprocessing: {
        "short_side": at_least(1, MAX_SIDE),
        "crop": at_least(1, MAX_SIDE),
        "std": positive,
        "color": one_of("RGB", "BGR"),
        "sampling": one_of("segments", "dense"),
    },
}


def trained_of(content: Any) -> Trained | None:
    """The record in a checkpoint's content, None if it has none; ``ValueError`` names an invalid key."""
    text = content.get(KEY) if isinstance(content, Mapping) else None
    return decode(Trained, parse(text.encode()), RULES) if isinstance(text, str) else None

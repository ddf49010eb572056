"""What is known of a target's GPU, from the file of the target: the one place that reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from edgevid.specs import Target


@dataclass(frozen=True)
class Gpu:
    """The GPU of a target, from its ``device`` table (see ``targets/README.md``)."""

    compute_capability: str
    multiprocessors: int = 64
    ptx: str = "8.0"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+\.\d( or later)?", self.compute_capability):
            raise ValueError(
                f"compute_capability is '8.7' or '7.5 or later', not '{self.compute_capability}'"
            )
        if not re.fullmatch(r"\d+\.\d", self.ptx):
            raise ValueError(f"ptx is like '8.5', not '{self.ptx}'")
        if self.multiprocessors < 1:
            raise ValueError(f"multiprocessors must be at least 1, not {self.multiprocessors}")

    @property
    def sm(self) -> int:
        """87 for compute capability 8.7; the oldest if it may be one of several."""
        return int(self.compute_capability.partition(" ")[0].replace(".", ""))

    @property
    def is_one_of_several(self) -> bool:
        return self.compute_capability.endswith("or later")


def gpu_of(target: Target) -> Gpu | None:
    """Of a target without one None; ``ValueError`` or ``TypeError`` if its file says it wrongly."""
    device = target.device
    if "compute_capability" not in device:
        return None
    return Gpu(**{key.name: device[key.name] for key in fields(Gpu) if key.name in device})

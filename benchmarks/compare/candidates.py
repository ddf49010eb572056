"""What is compared: bundles, and networks at every combination of the options that are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgevid.backends import BACKENDS, backends_of
from edgevid.host.processor import architecture
from edgevid.specs import Target

AXES = ("target", "backend", "precision", "frames", "size")


@dataclass(frozen=True)
class Candidate:
    """A bundle at ``path``, or the network ``name`` exported with these options; None is a default.

    ``why_not`` says why this machine cannot run it.
    """

    name: str
    path: str | None = None
    target: str | None = None
    backend: str | None = None
    precision: str | None = None
    frames: int | None = None
    size: int | None = None
    weights: str | None = None
    calibration: str | None = None
    why_not: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """The options of its export."""
        values = {key: getattr(self, key) for key in (*AXES, "weights")}
        return values | ({"calibration": self.calibration} if self.precision == "int8" else {})

    @property
    def title(self) -> str:
        frames = self.frames and f"{self.frames} frames"
        size = self.size and f"{self.size} pixels"
        parts = (self.name, self.target, self.backend, self.precision, frames, size)
        return " ".join(str(part) for part in parts if part)

    def facts(self) -> dict[str, Any]:
        """What is known of it before it is exported, by the keys of a point."""
        return {"model": self.name, **{key: getattr(self, key) for key in AXES}}


@dataclass(frozen=True)
class Choices:
    """The values of each option; an empty one is the network's or the target's own."""

    targets: Sequence[str] = ()
    backends: Sequence[str] = ()
    precisions: Sequence[str] = ()
    frames: Sequence[int] = ()
    sizes: Sequence[int] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    calibration: str | None = None

    def of(self, model: str) -> list[Candidate]:
        """Every combination for one network."""
        lists = (self.targets, self.backends, self.precisions, self.frames, self.sizes)
        found = []
        for values in itertools.product(*(dict.fromkeys(values) or (None,) for values in lists)):
            chosen: dict[str, Any] = dict(zip(AXES, values))
            weights = self.weights.get(model)
            found.append(Candidate(model, weights=weights, calibration=self.calibration, **chosen))
        return found

    def on_every_backend(self, model: str, targets: Iterable[Target], has_gpu: bool) -> list[Candidate]:
        """Every backend of ``targets`` in every precision; one that cannot run here is there once."""
        found = []
        for target in targets:
            for name in backends_of(target):
                chosen = replace(self, targets=[target.name], backends=[name])
                if why_not := _why_not(target, name, has_gpu):
                    refused = replace(chosen, precisions=()).of(model)
                    found += [replace(item, why_not=why_not) for item in refused]
                    continue
                precisions = [item for item in target.precisions if item in BACKENDS[name].precisions]
                found += replace(chosen, precisions=precisions).of(model)
        return found


def of_this_machine(targets: Iterable[Target]) -> list[Target]:
    """The targets that are a kind of this computer, and not one certain board."""
    return [
        target
        for target in targets
        if target.architecture in ("any", architecture())
        and target.device.os in ("any", "linux")
        and target.device.memory_gib is None
    ]


def _why_not(target: Target, backend: str, has_gpu: bool) -> str:
    if target.gpu and not has_gpu:
        return "this machine has no NVIDIA GPU: run it on one that has"
    state = BACKENDS[backend].available()
    return "" if state.ok else f"{state.why}: {state.remedy}"

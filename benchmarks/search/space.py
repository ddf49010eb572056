"""What is searched: networks at frames, sizes and precisions, with their costs and published accuracies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgevid.backends import BACKENDS
from edgevid.benchmarks.compare.accuracy import choose, of_published, published
from edgevid.benchmarks.compare.candidates import Candidate, Choices
from edgevid.bundle.bundle import Bundle
from edgevid.specs import ModelSpec, Target
from edgevid.zoo import MODELS

BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
MIB = 1 << 20


@dataclass(frozen=True)
class Option:
    """A candidate with its input and precision filled in.

    ``macs`` and ``weights_mib`` are None where they are not known before the export; ``accuracy`` is one as
    a point has it, and no part of what the option is.
    """

    candidate: Candidate
    model: str
    frames: int
    size: int
    precision: str
    streaming: bool
    macs: float | None
    weights_mib: float | None
    accuracy: dict[str, Any] = field(default_factory=lambda: of_published(None), compare=False)

    @property
    def top1(self) -> float | None:
        return self.accuracy["top1"]

    def facts(self) -> dict[str, Any]:
        """What is known of it before it is measured, by the keys of a point."""
        own = {key: getattr(self, key) for key in ("model", "frames", "size", "precision", "streaming")}
        return {**self.candidate.facts(), **own}


def searchable() -> list[str]:
    """The networks that classify a clip of RGB frames."""
    return [
        spec.name for spec in MODELS.values() if spec.input == "clip" and spec.channels == 3 and spec.classes
    ]


def options_of(
    models: Iterable[str], bundles: Iterable[str], choices: Choices, target: Target, dataset: str | None
) -> list[Option]:
    """Every combination of ``choices`` for each network, and each bundle.

    A network without frames in ``choices`` has its own and those with a published accuracy. The published
    accuracies are all of one data set, ``dataset`` or the one with the most.
    """
    found = [_of_bundle(path) for path in bundles]
    for name in models:
        full = replace(
            choices, targets=[target.name], precisions=choices.precisions or [_precision(target, choices)]
        )
        if name not in choices.weights:  # a checkpoint knows its input
            spec = MODELS[name]
            frames = {spec.frames, *(row.frames for row in published() if row.model == name)}
            full = replace(full, frames=choices.frames or sorted(frames), sizes=choices.sizes or [spec.size])
        found += [_of_network(candidate, MODELS[name]) for candidate in full.of(name)]
    rows = choose([option.facts() for option in found], published(), dataset)
    return [replace(option, accuracy=of_published(row)) for option, row in zip(found, rows)]


def _precision(target: Target, choices: Choices) -> str:
    """The target's first that the backend has."""
    backend = BACKENDS[choices.backends[0] if choices.backends else target.backend]
    return next((name for name in target.precisions if name in backend.precisions), target.precisions[0])


def _of_network(candidate: Candidate, spec: ModelSpec) -> Option:
    frames, size = candidate.frames or spec.frames, candidate.size or spec.size
    precision = candidate.precision or "fp32"
    macs = weights_mib = None
    if spec.facts is not None and candidate.weights is None:  # a checkpoint may be of another width
        macs = spec.facts.macs * frames / spec.frames * (size / spec.size) ** 2
        weights_mib = spec.facts.parameters * BYTES[precision] / MIB
    return Option(candidate, spec.name, frames, size, precision, False, macs, weights_mib)


def _of_bundle(path: str) -> Option:
    manifest = Bundle.open(path).manifest
    return Option(
        Candidate(path, path=path), manifest.model, manifest.frames, int(manifest.inputs[0].shape[-1]),
        manifest.precision, manifest.streaming, manifest.macs, manifest.weights.size_bytes / MIB,
    )  # fmt: skip


def cheapest_first(options: Sequence[Option]) -> list[Option]:
    """By MACs; those whose MACs are not known last."""
    return sorted(options, key=lambda option: (option.macs is None, option.macs or 0.0))

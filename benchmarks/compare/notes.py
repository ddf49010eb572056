"""What a reader of a comparison must know beside its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def notes_of(points: Sequence[dict[str, Any]]) -> list[str]:
    """Each in a sentence, and once."""
    return list(dict.fromkeys([*_of_accuracy(points), *_of_speed(points)]))


def _of_accuracy(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from _published(points)
    kinds = {point["accuracy"]["kind"] for point in points} - {None}
    if len(kinds) > 1:
        yield "measured and published accuracies are of different protocols: do not compare them"
    if "measured" in kinds and any(point["random_weights"] for point in points):
        yield "random weights have an accuracy at chance: export with --weights"
    for point in points:
        for remark in point["accuracy"]["remarks"]:
            yield f"{point['model']}: {remark}"
    if {"fp16"} & {point["precision"] for point in points if point["accuracy"]["kind"] == "published"}:
        yield "a published accuracy beside fp16 is that of float32"


def _published(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Which networks have an accuracy of which protocol and source."""
    models: dict[str, dict[str, None]] = {}
    for point in points:
        accuracy = point["accuracy"]
        if accuracy["kind"] == "published":
            protocol = f"{accuracy['dataset']}, {accuracy['protocol']} ({accuracy['source']})"
            models.setdefault(protocol, {})[point["model"]] = None
    for protocol, names in models.items():
        yield f"published, not measured here: {', '.join(names)} on {protocol}"


def _of_speed(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    for point in points:
        if (backend := point["ran_on"]["backend"]) != point["backend"]:
            yield f"what is for {point['target']} ran on {backend} here: these are not the target's times"
    if len({point["latency_ms"]["per"] for point in points}) > 1:
        yield "a latency of a streaming bundle is that of one frame, of the others that of a clip"
    if len({tuple(point["latency_includes"]) for point in points}) > 1:
        yield "latencies do not all include the same: see latency_includes in --json"
    if disturbed := sum(point["disturbed_processes"] for point in points):
        yield f"other programs used the cores during {disturbed} processes: stop them, and measure again"
    for point in points:
        if point["energy_mj_per_clip"] is None and point["why_no_power"]:
            yield f"no energy: {point['why_no_power']}"

"""The bounds on edgevid's ratios to its peers, and whether the samples meet them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgevid.benchmarks.experiments.peers.rounds import medians_of_turns
from edgevid.benchmarks.experiments.study import Ratio, paired_ratio

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """The ratio of edgevid's TSM to a peer's network in one case: its upper ``bound``, and the ``aim``."""

    model: str
    mode: str
    peer: str
    network: str
    bound: float
    aim: float


BOUNDS = (
    Bound("resnet50", "clip", "onnxruntime", "tsn", 1.02, 0.97),
    Bound("resnet50", "clip", "onnxruntime", "tsm", 0.84, 0.75),
    Bound("resnet50", "clip", "onnxruntime", "tsm-cat", 0.84, 0.75),
    Bound("resnet50", "clip", "openvino", "tsm", 0.85, 0.75),
    Bound("resnet50", "clip", "openvino", "tsm-cat", 0.85, 0.75),
    Bound("mobilenet_v2", "clip", "onnxruntime", "tsn", 1.02, 0.97),
    Bound("resnet50", "clip", "executorch", "tsm", 0.85, 0.75),
    Bound("resnet50", "clip", "executorch", "tsm-cat", 0.85, 0.75),
    Bound("mobilenet_v2", "clip", "executorch", "tsm", 0.98, 0.85),
    Bound("mobilenet_v2", "clip", "executorch", "tsm-cat", 0.98, 0.85),
    Bound("mobilenet_v2", "streaming", "onnxruntime", "tsn", 1.03, 1.00),
)
MEMORY_BOUND, MEMORY_AIM = 1.02, 0.9
MEMORY_NETWORKS = {"clip": "tsm-cat", "streaming": "tsm"}
"""The export that suits plain ONNX Runtime best, so that no bound is met by handicapping a peer."""
MIN_PAIRS = 6
"""With fewer values, not even their full range covers the median with 95 % confidence."""
FRAMES, SIZE, THREADS = 8, 224, 2
"""The configuration of the bounds; other runs report ratios without a verdict."""


@dataclass(frozen=True)
class Verdict:
    """``value`` is a ``Ratio`` as a dict, a number for memory, or None with the reason in ``verdict``."""

    measure: str
    value: dict[str, Any] | float | None
    bound: float
    aim: float
    verdict: str


def verdicts(cases: list[dict[str, Any]], threads: int) -> list[Verdict]:
    """A verdict for each bound of the measured cases, in the order of ``BOUNDS``, then for memory."""
    result = list(_verdicts(cases))
    sizes = [(one["case"]["frames"], one["case"]["size"], threads) for one in cases]
    if any(size != (FRAMES, SIZE, THREADS) for size in sizes):
        reason = f"no verdict: the bounds are for {FRAMES} x {SIZE} x {SIZE} and {THREADS} threads"
        result = [one if one.value is None else replace(one, verdict=reason) for one in result]
    return result


def _verdicts(cases: list[dict[str, Any]]) -> Iterator[Verdict]:
    by_case = {(one["case"]["model"], one["case"]["mode"]): rows_of(one) for one in cases}
    for bound in BOUNDS:
        rows = by_case.get((bound.model, bound.mode))
        if rows is not None:
            measure = f"{bound.model} {bound.mode}: edgevid tsm / {bound.peer} {bound.network}"
            yield _of_time(measure, bound, rows)
    for (model, mode), rows in by_case.items():
        yield _of_memory(model, mode, rows)


def rows_of(case: Mapping[str, Any]) -> dict[tuple[str, str], Row]:
    """The candidates of a case by peer and network."""
    return {(row["peer"], row["network"]): row for row in case["contestants"]}


def ratio_of(over: Row | None, under: Row | None) -> Ratio | None:
    """The paired ratio of two candidates' times; None if one of them was not timed."""
    if over is None or under is None or not over.get("samples_ms") or not under.get("samples_ms"):
        return None
    return paired_ratio(medians_of_turns(over["samples_ms"]), medians_of_turns(under["samples_ms"]))


def judge(ratio: Ratio, bound: float) -> str:
    """``met`` or ``not met`` only if the whole interval is on one side of the bound."""
    if ratio.pairs < MIN_PAIRS:
        return f"no verdict: {ratio.pairs} pairs are too few, use at least --pairs {MIN_PAIRS}"
    if ratio.high <= bound:
        return "met"
    if ratio.low > bound:
        return "not met"
    side = "within" if ratio.median <= bound else "above"
    return f"unclear, the median is {side}: raise --pairs, or stop other programs"


def _of_time(measure: str, bound: Bound, rows: Mapping[tuple[str, str], Row]) -> Verdict:
    over, under = rows.get(("edgevid", "tsm")), rows.get((bound.peer, bound.network))
    ratio = ratio_of(over, under)
    if ratio is None:
        return Verdict(measure, None, bound.bound, bound.aim, _missing_reason(over, under))
    return Verdict(measure, asdict(ratio), bound.bound, bound.aim, judge(ratio, bound.bound))


def _of_memory(model: str, mode: str, rows: Mapping[tuple[str, str], Row]) -> Verdict:
    network = MEMORY_NETWORKS[mode]
    measure = f"{model} {mode}: peak memory, edgevid tsm / onnxruntime {network}"
    over, under = rows.get(("edgevid", "tsm")), rows.get(("onnxruntime", network))
    if not (over and under and over.get("peak_mib") and under.get("peak_mib")):
        return Verdict(measure, None, MEMORY_BOUND, MEMORY_AIM, _missing_reason(over, under))
    value = over["peak_mib"] / under["peak_mib"]
    return Verdict(measure, value, MEMORY_BOUND, MEMORY_AIM, "met" if value <= MEMORY_BOUND else "not met")


def _missing_reason(*rows: Row | None) -> str:
    if None in rows:
        return "not measured: left out by --peers"
    return next((f"not measured: {row['error']}" for row in rows if row["error"]), "not measured")

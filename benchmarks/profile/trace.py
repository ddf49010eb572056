"""The profile as a Chrome trace, which https://ui.perfetto.dev and chrome://tracing open.

A JSON array of complete events (``ph`` X), times in microseconds. Layers and the stages of a video are two
recordings, so each is a process whose time begins at 0, with a lane for each stage. The format: "Trace Event
Format", Google.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

VIDEO, MODEL = 1, 2
RUNS_LANE, LAYERS_LANE = "runs with the profiler", "layers"

Span = Sequence[float]
"""Start and duration in milliseconds."""


def of_stages(spans_ms: Mapping[str, Sequence[Span]]) -> list[dict[str, Any]]:
    """The stages of a video, a lane each."""
    events = [_name("process_name", VIDEO, 0, "video: the stages of its way to the answer")]
    first_ms = min((span[0] for spans in spans_ms.values() for span in spans), default=0.0)
    for lane, (stage, spans) in enumerate(spans_ms.items(), 1):
        events.append(_name("thread_name", VIDEO, lane, stage))
        events += (_complete(stage, "stage", VIDEO, lane, span, first_ms) for span in spans)
    return events


def of_layers(
    layers: Iterable[tuple[dict[str, Any], Sequence[Sequence[Span]]]], runs_ms: Sequence[Span]
) -> list[dict[str, Any]]:
    """The runs with the profiler, and each layer's spans of each run, beside the layer's facts."""
    events = [
        _name("process_name", MODEL, 0, "model: its layers"),
        _name("thread_name", MODEL, 1, RUNS_LANE),
        _name("thread_name", MODEL, 2, LAYERS_LANE),
    ]
    first_ms = min((start for start, _ in runs_ms), default=0.0)
    events += (
        _complete(f"run {number}", "run", MODEL, 1, span, first_ms) for number, span in enumerate(runs_ms)
    )
    for layer, spans_by_run in layers:
        facts = {key: layer[key] for key in ("op", "ran_by", "provider", "macs", "bytes", "bound")}
        for span in (span for spans in spans_by_run for span in spans):
            events.append(_complete(layer["name"], layer["op"], MODEL, 2, span, first_ms) | {"args": facts})
    return events


def _name(kind: str, process: int, lane: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": lane, "args": {"name": name}}


def _complete(name: str, kind: str, process: int, lane: int, span: Span, first_ms: float) -> dict[str, Any]:
    start, duration = (round(1000 * value, 3) for value in (span[0] - first_ms, span[1]))
    return {
        "ph": "X", "name": name, "cat": kind, "pid": process, "tid": lane, "ts": start, "dur": duration,
    }  # fmt: skip

"""The profile as text: the layers that take longest, the rest summed, and the stages of a video."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

TOP, WIDTH = 15, 120
NAME_WIDTH = 44
DISTURBED = 0.1
"""The relative difference of a run's layers to the sum of their medians that is worth a warning."""
COLUMNS = ("layer", "ran by", "ms", "share", "GFLOP/s", "GB/s", "of bound", "bound by")
RIGHT = ("left", "left", "right", "right", "right", "right", "right", "left")
RAN_BY = {
    "edgevid kernel": "edgevid's kernels",
    "runtime": "the runtime's own operators",
    "function body": "function bodies of temporal ops",
}
PROVIDER = "ExecutionProvider"
CPU = f"CPU{PROVIDER}"


def profiles(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The text of each result with a profile."""
    for result in results:
        if "profile" in result:
            yield f"\n{result['model']}, where the time goes:\n{table(result['profile'])}"


def table(profile: dict[str, Any], top: int = TOP) -> str:
    """Lines for a terminal; a profile without layers says why."""
    lines = []
    if "layers" in profile:
        texts = (_limits(profile), _latency(profile), _who(profile), _fallbacks(profile))
        lines += [*_layers(profile, top), "", *(line for text in texts for line in _wrapped(text))]
    else:
        lines.append(f"profile: not available, {profile['why_not']}")
    return "\n".join([*lines, *_wrapped(_stages(profile))])


def _wrapped(lines: Iterable[str]) -> list[str]:
    """Long lines of text, broken for a terminal."""
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False) or [""]
    ]


def _layers(profile: dict[str, Any], top: int) -> list[str]:
    from tabulate import tabulate

    ordered = sorted(profile["layers"], key=lambda layer: -layer["time_ms"])
    rows = [_row(layer) for layer in ordered[:top]]
    if rest := ordered[top:]:
        time_ms, share = (sum(layer[key] for layer in rest) for key in ("time_ms", "share"))
        rows.append((f"{len(rest)} more", "", f"{time_ms:.3f}", f"{share:.1%}", "", "", "", ""))
    time_ms, macs = sum(layer["time_ms"] for layer in ordered), profile["macs"]
    bound_ms = sum(layer["bound_ms"] for layer in ordered)
    total = (
        f"all {len(ordered)} layers",
        "",
        f"{time_ms:.3f}",
        f"{sum(layer['share'] for layer in ordered):.1%}",
        _rate(2 * macs / time_ms / 1e6 if time_ms and macs is not None else None),
        _rate(sum(layer["bytes"] for layer in ordered) / time_ms / 1e6 if time_ms else None),
        f"{bound_ms / time_ms:.0%}" if time_ms else "",
        "",
    )
    text = tabulate([*rows, total], COLUMNS, colalign=RIGHT, disable_numparse=True)
    head, ruler, *body = text.splitlines()
    return [head, ruler, *body[:-1], ruler, body[-1]]


def _row(layer: dict[str, Any]) -> tuple[str, ...]:
    share_of_bound = layer["roofline"]
    return (
        shortened(layer["name"], NAME_WIDTH),
        runs_as(layer),
        f"{layer['time_ms']:.3f}",
        f"{layer['share']:.1%}",
        _rate(layer["gflop_s"]),
        _rate(layer["gb_s"]),
        "" if share_of_bound is None else f"{share_of_bound:.0%}",
        layer["bound"] or "",
    )


def runs_as(layer: dict[str, Any]) -> str:
    """What runs a layer: ``edgevid ShiftConv``, ``Conv``, ``TemporalShift (function body)``."""
    op, provider = layer["op"], layer["provider"]
    where = f" on {provider.replace(PROVIDER, '')}" if provider.endswith(PROVIDER) and provider != CPU else ""
    if layer["ran_by"] == "function body":
        return f"{op} (function body){where}"
    is_own = layer["ran_by"] == "edgevid kernel" and not op.startswith("edgevid")
    return f"{'edgevid ' if is_own else ''}{op}{where}"


def unit(arithmetic: str) -> str:
    """Of operations per second: those of integers are none with a floating point."""
    return "GOP/s" if arithmetic.startswith("int") else "GFLOP/s"


def shortened(name: str, width: int) -> str:
    """The name without its first parts if it is too long, as ends of paths tell layers apart."""
    if len(name) <= width:
        return name
    end = name[len(name) - width + 1 :]
    return "…" + (end.partition(".")[2] or end)


def _limits(profile: dict[str, Any]) -> list[str]:
    limits = profile["roofline"]
    peaks = ", ".join(f"{2 * peak:.0f} {unit(kind)} {kind}" for kind, peak in limits["peak_gmacs"].items())
    threads = "1 thread" if limits["threads"] == 1 else f"{limits['threads']} threads"
    sizes, copy, read = limits["sizes"], limits["copy_gb_s"], limits["read_gb_s"]
    return [
        f"bound: the larger of two times at the limits measured here for {threads}: peak {peaks}; "
        f"copies {max(copy):.0f} GB/s in caches, {copy[-1]:.0f} GB/s of {sizes[-1] >> 20} MiB, "
        f"reads {max(read):.0f} and {read[-1]:.0f} GB/s",
        f"limits: measured by {limits['method']}",
        f"bytes: {profile['bytes_are']}",
    ]


def _latency(profile: dict[str, Any]) -> list[str]:
    latency = profile["latency_ms"]
    plain, layers = latency["unprofiled"], latency["layers"]
    lines = [
        f"sum of layers {layers:.3f} ms, {_percent(layers, plain)} of the unprofiled {plain:.3f} ms "
        f"(medians of {profile['runs']} runs); profiling adds {latency['profiling_adds']:+.3f} ms "
        f"({_percent(latency['profiling_adds'], plain)})"
    ]
    in_a_run = latency["layers_of_a_run"]
    if abs(in_a_run - layers) > DISTURBED * layers:
        lines.append(
            f"warning: the layers of a single run take {in_a_run:.3f} ms, as other programs interrupt some "
            "of them: stop these, and measure again"
        )
    return lines


def _who(profile: dict[str, Any]) -> list[str]:
    """Who ran how many layers, and their share of the time."""
    parts = []
    for ran_by, words in RAN_BY.items():
        layers = [layer for layer in profile["layers"] if layer["ran_by"] == ran_by]
        if layers:
            parts.append(f"{words} {len(layers)} ({sum(layer['share'] for layer in layers):.0%})")
    providers = list(dict.fromkeys(layer["provider"] for layer in profile["layers"]))
    lines = [f"layers by who ran them: {', '.join(parts)}; execution provider: {', '.join(providers)}"]
    if others := [name for name in providers if name.endswith(PROVIDER) and name != CPU]:
        lines.append(
            f"warning: {' and '.join(others)} may work on after a node returns, so its time may be counted "
            "for a later layer; the unprofiled latency is right"
        )
    return lines


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "?"


def _fallbacks(profile: dict[str, Any]) -> list[str]:
    lines = []
    if folded := len(profile["not_run"]):
        lines.append(f"{folded} nodes of the file did not run: folded into constants, or removed")
    reasons: dict[str, list[str]] = {}
    for op in profile["fallbacks"]:
        reasons.setdefault(op["why"], []).append(op["name"])
    for why, names in reasons.items():
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        lines.append(f"no kernel for {listed}: {why}")
    return lines


def _stages(profile: dict[str, Any]) -> list[str]:
    stages = profile.get("stages")
    if stages is None:
        why = profile.get("why_no_stages")
        return [f"stages: not measured, {why}"] if why else []
    per_frame = stages["time_ms_per_frame"]
    parts = ", ".join(f"{stage} {per_frame[stage]:.3f}" for stage in ("decode", "preprocess", "inference"))
    return [
        f"stages, ms per frame: {parts}; wall {per_frame['wall']:.3f} as they overlap "
        f"({stages['frames']} frames of {stages['video']}; {stages['preprocessing']} preprocessing)"
    ]


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"

"""The profile as a picture: layers under the roofline, and bars of those that take longest."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from edgevid.benchmarks.profile.table import runs_as, shortened, unit

BARS, LABELED = 20, 6
LETTER = 0.0105
"""The width of a letter beside a bar, in widths of its axes."""
OFFSETS = tuple(
    (x * scale, y * scale)
    for scale in (11, 19, 27)
    for x, y in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
)
"""Places of a number beside its point, in points of a font."""
COLORS = {"edgevid kernel": "#c2410c", "runtime": "#1d4ed8", "function body": "#a16207"}
MARKERS = {"edgevid kernel": "o", "runtime": "s", "function body": "^"}
CALLED = {
    "edgevid kernel": "edgevid's kernel",
    "runtime": "the runtime's operator",
    "function body": "function body",
}
INK, FAINT = "#1f2937", "#9ca3af"
STYLE: Any = {
    "font.size": 9, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
    "svg.hashsalt": "edgevid", "figure.facecolor": "white",
}  # fmt: skip


def picture(result: dict[str, Any], suffix: str) -> bytes:
    """The profile of a result of ``edgevid bench`` as ``svg`` or ``png``."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, file = figure_of(result), io.BytesIO()
        figure.savefig(file, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
        pyplot.close(figure)
    return file.getvalue()


def figure_of(result: dict[str, Any]) -> Any:
    """The same as a figure of Matplotlib."""
    from matplotlib import pyplot

    profile = result["profile"]
    ordered = sorted(profile["layers"], key=lambda layer: -layer["time_ms"])
    bars = min(len(ordered), BARS) + (len(ordered) > BARS)
    figure = pyplot.figure(figsize=(9.5, 6.0 + 0.25 * bars), layout="constrained")
    figure.suptitle(_title(result), x=0.01, ha="left", fontsize=11, fontweight="bold")
    parts: Any = figure.subfigures(2, 1, height_ratios=(4.6, 0.25 * bars + 0.8))
    above, below = (part.subplots() for part in parts)
    _bars(below, ordered)
    _roofline(above, ordered, profile["roofline"])
    return figure


def _title(result: dict[str, Any]) -> str:
    latency = result["profile"]["latency_ms"]
    threads = "1 thread" if result["threads"] == 1 else f"{result['threads']} threads"
    return (
        f"{result['model']} ({result['precision']}), {result['environment']['device']}, {threads}: "
        f"layers {latency['layers']:.2f} ms of {latency['unprofiled']:.2f} ms"
    )


def _roofline(axes: Any, layers: Sequence[dict[str, Any]], limits: dict[str, Any]) -> None:
    """GFLOP/s over FLOP per byte, both logarithmic; a point's area is its share of the time.

    Counted are the products that ran, which are fewer than the network's in Winograd's convolutions.
    """
    axes.set(xscale="log", yscale="log", xlabel="FLOP per byte that is read or written", ylabel="GFLOP/s")
    axes.set_title("Roofline: each layer, its area by its share of the time", loc="left", fontsize=10)
    points = _with_macs(layers)
    if not points:
        axes.text(0.5, 0.5, "no layer has MACs", transform=axes.transAxes, ha="center")
        return
    x = [2 * layer["executed_macs"] / layer["bytes"] for layer in points]
    y = [2 * layer["executed_macs"] / layer["time_ms"] / 1e6 for layer in points]
    peaks = [2 * peak for peak in limits["peak_gmacs"].values()]
    ridge = min(peaks) / max(limits["copy_gb_s"])
    axes.set_xlim(min(*x, ridge, 1) / 2.5, max(*x, 50) * 3)
    axes.set_ylim(min(y) / 2.5, max(*peaks, *y) * 1.6)
    _ceilings(axes, limits)
    for kind, color in COLORS.items():
        chosen = [i for i, layer in enumerate(points) if layer["ran_by"] == kind]
        if chosen:
            axes.scatter(
                [x[i] for i in chosen], [y[i] for i in chosen],
                s=[14 + 900 * points[i]["share"] for i in chosen],
                c=color, marker=MARKERS[kind], alpha=0.75, linewidths=0.6, edgecolors="white",
                label=CALLED[kind], zorder=3,
            )  # fmt: skip
    axes.legend(loc="lower right", frameon=False, markerscale=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_ticks())
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda value, _: "")
    _number(axes, list(zip(x, y)))


def _ceilings(axes: Any, limits: dict[str, Any]) -> None:
    """The peaks, and copies in caches and of the largest buffer."""
    (low, high), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    cached, uncached = max(limits["copy_gb_s"]), limits["copy_gb_s"][-1]
    peaks = sorted((2 * peak, kind) for kind, peak in limits["peak_gmacs"].items())
    for peak, kind in peaks:
        axes.plot([peak / cached, high], [peak, peak], color=INK, linewidth=1.2)
        is_lower = (peak, kind) != peaks[-1]
        axes.text(
            high / 1.06, peak * (0.93 if is_lower else 1.06), f"peak {kind}: {peak:.0f} {unit(kind)}",
            ha="right", va="top" if is_lower else "bottom", fontsize=8,
        )  # fmt: skip
    top = peaks[-1][0]
    for gb_s, style, words in (
        (cached, "-", "in caches"),
        (uncached, "--", f"of {limits['sizes'][-1] >> 20} MiB"),
    ):
        axes.plot([low, top / gb_s], [low * gb_s, top], style, color=INK, linewidth=1.2)
        begin = max(low, bottom / gb_s)
        place = begin * (top / gb_s / begin) ** 0.12
        axes.annotate(
            f"copies {words}: {gb_s:.0f} GB/s", (place, place * gb_s), (8, -3), fontsize=8,
            textcoords="offset points", ha="left", va="top", zorder=2,
        )  # fmt: skip


def _ticks() -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5))


def _with_macs(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [layer for layer in layers if layer["executed_macs"] and layer["bytes"] and layer["time_ms"]]


def _number(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    """Number the first points, each number where it covers the fewest points and no other text."""
    figure = axes.figure.figure
    figure.canvas.draw()  # places the axes
    centers = [axes.transData.transform(point) for point in points]
    texts = [text.get_window_extent() for text in (*axes.texts, *axes.get_legend().get_texts())]
    scale = figure.dpi / 72
    for number, (point, center) in enumerate(zip(points[:LABELED], centers), 1):

        def crowd(offset: tuple[int, int], center: Any = center) -> int:
            at, half = center + [scale * part for part in offset], 6 * scale
            covered = sum(abs(at - other).max() < half for other in centers)
            return covered + len(points) * sum(
                text.x0 - half < at[0] < text.x1 + half and text.y0 - half < at[1] < text.y1 + half
                for text in texts
            )

        label = axes.annotate(
            str(number), point, min(OFFSETS, key=crowd), textcoords="offset points", ha="center",
            va="center", fontsize=8, fontweight="bold", zorder=4,
        )  # fmt: skip
        texts.append(label.get_window_extent())


def _bars(axes: Any, layers: Sequence[dict[str, Any]]) -> None:
    """Milliseconds of the longest layers; the part of the bound is darker."""
    top, rest = layers[:BARS], layers[BARS:]
    labeled = {id(layer): f"{number}  " for number, layer in enumerate(_with_macs(layers)[:LABELED], 1)}
    names = [labeled.get(id(layer), "") + shortened(layer["name"], 46) for layer in top]
    times = [layer["time_ms"] for layer in top]
    colors = [COLORS[layer["ran_by"]] for layer in top]
    words = [
        f"{layer['share']:.1%}  {runs_as(layer)}"
        + (f", {layer['roofline']:.0%} of its bound ({layer['bound']})" if layer["roofline"] else "")
        for layer in top
    ]
    if rest:
        names.append(f"{len(rest)} more")
        times.append(sum(layer["time_ms"] for layer in rest))
        colors.append(FAINT)
        words.append(f"{sum(layer['share'] for layer in rest):.1%}")
    places = range(len(names))
    axes.barh(places, times, color=colors, alpha=0.45, height=0.72)
    axes.barh(range(len(top)), [layer["bound_ms"] for layer in top], color=colors[: len(top)], height=0.72)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_ylim(len(names) - 0.4, -0.6)
    longest = max(times)
    axes.set_xlim(0, max(time / (1 - LETTER * (len(text) + 1)) for time, text in zip(times, words)))
    axes.set_xlabel("ms (dark: the bound)")
    axes.set_title("Layers that take longest", loc="left", fontsize=10)
    for place, time, text in zip(places, times, words):
        axes.text(time + longest * 0.012, place, text, va="center", fontsize=8)

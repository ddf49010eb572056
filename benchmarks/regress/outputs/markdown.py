"""A table for a pull request or a job's summary, with the pairs as a line of block characters.

GitHub drops a summary of more than 1 MiB whole; this one has a row per metric and texts of limited length.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from typing import Any

from edgevid.benchmarks.regress.outputs.findings import Source, printable
from edgevid.benchmarks.regress.report import COLUMNS, remarks, row, sentence

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40
LONGEST_TEXT = 500


def render(verdict: dict[str, Any], source: Source) -> str:
    lines = [f"### edgevid regress: {_plain(verdict['candidate']['model'])}: **{verdict['verdict']}**", ""]
    lines += [_line((*COLUMNS, "pairs")), _line(["---"] * (len(COLUMNS) + 1))]
    for metric in verdict["metrics"]:
        bars = sparkline(metric.get("pair_ratios", []), verdict["threshold"])
        lines.append(_line([*map(_plain, row(metric)), bars]))
    lines += ["", _plain(sentence(verdict)), ""]
    if listed := [f"- {_plain(remark)}" for remark in remarks(verdict)]:
        lines += [*listed, ""]
    if verdict["pairs"]:
        lines += ["<sub>A bar is a pair of processes, or several; half of the height is no change.</sub>", ""]
    return "\n".join(lines)


def sparkline(ratios: list[float], threshold: float) -> str:
    """The ratios in their order; half of the height is 1, the whole the usual largest or the threshold."""
    if not ratios:
        return ""
    count = min(len(ratios), WIDTH)
    bounds = [index * len(ratios) // count for index in range(count + 1)]
    heights = [statistics.median(map(math.log, ratios[a:b])) for a, b in itertools.pairwise(bounds)]
    usual = sorted(map(abs, heights))[math.ceil(0.9 * count) - 1]
    top = max(usual, math.log1p(threshold))
    return "".join(BLOCKS[min(7, max(0, math.floor(4 + 4 * height / top)))] for height in heights)


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names come from bundles of others."""
    short = printable(" ".join(text.split()))
    short = short if len(short) <= LONGEST_TEXT else short[:LONGEST_TEXT] + "..."
    return re.sub(r"([\\`*_\[\]<>|~!&#@/])", r"\\\1", short)

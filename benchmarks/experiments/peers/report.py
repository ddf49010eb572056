"""The printed report (bounds, then every candidate) and the JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from edgevid.benchmarks.experiments.peers.bounds import ratio_of, rows_of, verdicts
from edgevid.benchmarks.experiments.peers.rounds import medians_of_turns
from edgevid.benchmarks.experiments.study import Ratio
from edgevid.benchmarks.harness.statistics import SPREAD_LIMIT, relative_spread
from edgevid.host.environment import environment_warnings
from edgevid.host.files import atomic_write

SCHEMA = 1


def document(environment: dict, options: dict, cases: list[dict]) -> dict[str, Any]:
    """Raw samples by round, and everything computed from them."""
    return {
        "schema": SCHEMA,
        "environment": environment,
        "options": options,
        "versions": {
            row["peer"]: row["version"]
            for case in cases
            for row in case["contestants"]
            if row.get("version") is not None
        },
        "cases": cases,
        "bounds": [asdict(verdict) for verdict in verdicts(cases, options["threads"])],
        "ratios": [ratio for case in cases for ratio in edgevid_ratios(case)],
    }


def save(path: Path, content: dict[str, Any]) -> None:
    """Replace ``path`` atomically, so that an interrupted run keeps its finished cases."""
    atomic_write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def edgevid_ratios(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Ratios of edgevid's networks to every other candidate."""
    rows = rows_of(case)
    for network in ("tsn", "tsm"):
        for (peer, peer_network), row in rows.items():
            ratio = ratio_of(rows.get(("edgevid", network)), row)
            if ratio is not None and (peer, peer_network) != ("edgevid", network):
                yield {
                    "model": case["case"]["model"],
                    "mode": case["case"]["mode"],
                    "over": f"edgevid {network}",
                    "under": f"{peer} {peer_network}",
                    **asdict(ratio),
                }


def text(content: dict[str, Any]) -> str:
    """The tables, and warnings about unreliable times."""
    environment, options = content["environment"], content["options"]
    parts = [
        tabulate([_bound_row(one) for one in content["bounds"]], headers="keys", floatfmt=".2f"),
        *(_case_table(case) for case in content["cases"]),
        f"medians of {options['pairs']} paired ratios with 95 % intervals; {options['threads']} threads, "
        f"fp32; {environment['device']}, {environment['date_utc']}",
        *_kernel_lines(content),
        *(f"warning: {line}" for line in (*environment_warnings(environment), *_spread_warnings(content))),
    ]
    return "\n\n".join(parts)


def _bound_row(one: dict[str, Any]) -> dict[str, Any]:
    value = Ratio(**one["value"]) if isinstance(one["value"], dict) else one["value"]
    return {
        "measure": one["measure"],
        "ratio": "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value),
        "bound": one["bound"],
        "aim": one["aim"],
        "verdict": one["verdict"],
    }


def _case_table(case: dict[str, Any]) -> str:
    rows = rows_of(case)
    table = []
    for (peer, network), row in rows.items():
        line = {"candidate": f"{peer} {network}"}
        if row["error"]:
            line["median ms"] = f"error: {row['error']}"
        else:
            times = medians_of_turns(row["samples_ms"])
            line |= {
                "median ms": f"{np.median(times):.2f}",
                "spread": f"{relative_spread(times):.0%}",
                "edgevid tsm / it": _text(ratio_of(rows.get(("edgevid", "tsm")), row)),
                "edgevid tsn / it": _text(ratio_of(rows.get(("edgevid", "tsn")), row)),
                "it / its own tsn": _text(ratio_of(row, rows.get((peer, "tsn")))),
                "peak MiB": "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
                "error": f"{row['max_rel']:.0e}",
            }
        table.append(line)
    sizes = case["case"]
    title = f"{sizes['model']}, {sizes['mode']}, {sizes['frames']} x {sizes['size']} x {sizes['size']}"
    return f"{title}\n{tabulate(table, headers='keys', disable_numparse=True)}"


def _text(ratio: Ratio | None) -> str:
    return "" if ratio is None or ratio.low == ratio.high == 1 else str(ratio)


def _kernel_lines(content: dict[str, Any]) -> Iterator[str]:
    """The kernels that edgevid's shifts ran on: without them its times are not representative."""
    for case in content["cases"]:
        for row in case["contestants"]:
            if row.get("kernels"):
                kernels = ", ".join(f"{kernel} x{count}" for kernel, count in row["kernels"].items())
                name = f"{case['case']['model']} {case['case']['mode']}"
                yield f"{name}, {row['peer']} {row['network']}: {kernels}"


def _spread_warnings(content: dict[str, Any]) -> Iterator[str]:
    for case in content["cases"]:
        wide = [
            f"{row['peer']} {row['network']}"
            for row in case["contestants"]
            if row.get("samples_ms") and relative_spread(medians_of_turns(row["samples_ms"])) > SPREAD_LIMIT
        ]
        if wide:
            name = f"{case['case']['model']} {case['case']['mode']}"
            yield f"{name}: the times of {', '.join(wide)} spread by more than {SPREAD_LIMIT:.0%}"

"""edgevid list: the available models, backends, targets, probes and scenarios."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevid.backends.protocol import Backend
    from edgevid.host.probes import Probe

SHORT = {
    "models": ("name", "title", "input", "streams", "source"),
    "backends": ("name", "title", "here", "detail"),
    "targets": ("name", "title", "backends", "precisions"),
    "probes": ("name", "title", "here", "detail"),
    "scenarios": ("name", "sample", "metric"),
}
"""Columns of the tables without ``--verbose``; JSON always has everything."""


@click.command("list")
@click.argument("kind", type=click.Choice(list(SHORT)))
@click.option(
    "--verbose",
    is_flag=True,
    help="For models, also cost, temporal ops, dimensions that can be dynamic, published accuracy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(kind: str, verbose: bool, as_json: bool) -> None:
    """List models, backends, targets, power probes, or benchmark scenarios."""
    if verbose and kind != "models":
        raise click.UsageError(f"--verbose is only for models: 'edgevid list {kind}' shows everything")
    if verbose and not as_json:
        _show_models()
        return
    rows = ROWS[kind]()
    if as_json:
        click.echo(json.dumps({kind: rows}, indent=2))
        return
    from tabulate import tabulate

    cells = [[_cell(row[key]) for key in SHORT[kind]] for row in rows]
    click.echo(tabulate(cells, SHORT[kind], missingval="-"))


def _cell(value: object) -> object:
    return ", ".join(value) if isinstance(value, (list, tuple)) else value


def _show_models() -> None:
    """Print the full table, with long texts wrapped."""
    from tabulate import tabulate

    rows = [
        (
            f"{row['name']}\n{row['title']}",
            f"{row['takes']}\n{row['input']}",
            f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else "-",
            f"{row['macs'] / 1e9:.2f} G" if row["macs"] else "-",
            "\n".join(f"{kind} x{count}" for kind, count in (row["temporal_ops"] or {}).items()) or "none",
            "-" if row["takes"] == "image" else "the past" if row["causal"] else "the whole clip",
            "\n".join([*row["dynamic"], *(f"no {kind}: {layer}" for kind, layer in row["fixed"].items())]),
            row["published"] or "-",
            row["source"],
        )
        for row in _models()
    ]
    headers = ["name", "input", "parameters", "MACs", "temporal ops", "sees", "any", "published", "source"]
    click.echo(tabulate(rows, headers, tablefmt="simple_grid", maxcolwidths=[None] * 7 + [34, 30]))


def _models() -> list[dict]:
    from edgevid.zoo import MODELS

    rows = []
    for spec in MODELS.values():
        facts = spec.facts
        fixed = facts.fixed if facts else {}
        kinds = ("batch", "size") if spec.input == "image" else ("batch", "frames", "size")
        rows.append(
            {
                "name": spec.name,
                "title": spec.title,
                "input": "x".join(map(str, spec.input_shape(spec.frames, spec.size)[1:])),
                "streams": "yes" if spec.causal else f"use {spec.online}" if spec.online else "no",
                "source": spec.source,
                "takes": spec.input,
                "classes": spec.classes,
                "causal": spec.causal,
                "parameters": facts and facts.parameters,
                "macs": facts and facts.macs,
                "temporal_ops": facts and facts.temporal_ops,
                "dynamic": [kind for kind in kinds if facts and kind not in fixed],
                "fixed": fixed,
                "published": spec.published or None,
            }
        )
    return rows


def _backends() -> list[dict]:
    from edgevid.backends import BACKENDS

    return [_availability(backend) for backend in BACKENDS.values()]


def _probes() -> list[dict]:
    from edgevid.host.probes import PROBES

    return [_availability(probe) for probe in PROBES.values()]


def _availability(entry: Backend | Probe) -> dict:
    state = entry.available()
    return {
        "name": entry.name,
        "title": entry.title,
        "here": "yes" if state.ok else "no",
        "detail": state.what if state.ok else f"{state.why}: {state.remedy}",
    }


def _targets() -> list[dict]:
    from dataclasses import asdict

    from edgevid.backends import backends_of
    from edgevid.targets import TARGETS

    return [asdict(target) | {"backends": backends_of(target)} for target in TARGETS.values()]


def _scenarios() -> list[dict]:
    from edgevid.benchmarks.harness.scenarios import SCENARIOS

    keys = ("name", "sample", "metric", "by_default")
    return [{key: getattr(scenario, key) for key in keys} for scenario in SCENARIOS.values()]


ROWS = {
    "models": _models,
    "backends": _backends,
    "targets": _targets,
    "probes": _probes,
    "scenarios": _scenarios,
}

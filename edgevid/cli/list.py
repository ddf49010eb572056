"""edgevid list: the models, backends and targets that there are."""

from __future__ import annotations

import json

import click


@click.command("list")
@click.argument("kind", type=click.Choice(["models", "backends", "targets"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(kind: str, as_json: bool) -> None:
    """List models, backends or targets."""
    rows = {"models": _models, "backends": _backends, "targets": _targets}[kind]()
    if as_json:
        click.echo(json.dumps({kind: rows}, indent=2))
        return
    from tabulate import tabulate

    shown = [{key: ", ".join(v) if isinstance(v, list) else v for key, v in row.items()} for row in rows]
    click.echo(tabulate(shown, headers="keys", missingval="-"))


def _models() -> list[dict]:
    from edgevid.zoo import MODELS

    return [
        {
            "name": spec.name,
            "title": spec.title,
            "input": "x".join(map(str, spec.input_shape(spec.frames, spec.size)[1:])),
            "streams": "yes" if spec.causal else f"use {spec.online}" if spec.online else "no",
            "source": spec.source,
        }
        for spec in MODELS.values()
    ]


def _backends() -> list[dict]:
    from edgevid.backends import BACKENDS

    rows = []
    for backend in BACKENDS.values():
        here = backend.available()
        rows.append(
            {
                "name": backend.name,
                "title": backend.title,
                "here": "yes" if here.ok else "no",
                "detail": here.what if here.ok else f"{here.why}: {here.mend}",
            }
        )
    return rows


def _targets() -> list[dict]:
    from edgevid.targets import TARGETS

    return [
        {
            "name": target.name,
            "title": target.title,
            "backends": list(target.backends),
            "precisions": list(target.precisions),
        }
        for target in TARGETS.values()
    ]

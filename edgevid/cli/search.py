"""``edgevid search``: the most accurate network under a budget, and what a step up or down would cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevid.cli.comparing import check_published, choices_of, comparing_options, tools_of
from edgevid.cli.result_files import STANDARD_OUTPUT, json_option
from edgevid.cli.subjects import find
from edgevid.errors import BenchmarkError
from edgevid.specs import LOCAL

NOTHING_FITS = 1


@click.command("search")
@click.argument("subjects", nargs=-1, metavar="[BUNDLE|MODEL ...]")
@click.option("--target", required=True, help="The device to search for (edgevid list targets).")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    required=True,
    metavar="KIND=LIMIT",
    help="latency=30ms, memory=200MiB or energy=5mJ; repeatable, then all hold.",
)
@click.option("--backend", help="The backend to export for.  [default: the target's first]")
@comparing_options
@json_option("Save the proposal to FILE")
def command(
    subjects: tuple[str, ...],
    target: str,
    budgets: tuple[str, ...],
    backend: str | None,
    published: str | None,
    precisions: tuple[str, ...],
    frames: tuple[int, ...],
    sizes: tuple[int, ...],
    weights: tuple[str, ...],
    calibration: str | None,
    rounds: int,
    seed: int | None,
    json_to: str | None,
    **options: Any,
) -> int:
    """Propose the most accurate network x frames x size x precision within the budgets.

    Of BUNDLEs and MODELs, by default every network that classifies clips. Few are measured: what takes too
    much in any case is skipped. Exit status 1 if nothing is within the budgets.
    """
    from edgevid.benchmarks.harness.store import ResultFile
    from edgevid.benchmarks.search.budget import parse
    from edgevid.benchmarks.search.report import report
    from edgevid.benchmarks.search.search import Search
    from edgevid.benchmarks.search.space import options_of, searchable
    from edgevid.host.files import atomic_write
    from edgevid.targets import TARGETS
    from edgevid.zoo.shipped import DATASETS, models_with

    limits = [parse(text) for text in budgets]
    check_published(published)
    _check_reachable(target, options["device"])
    if json_to not in (None, STANDARD_OUTPUT):
        ResultFile(Path(json_to))
    found = [find(name) for name in subjects]
    models = [subject.name for subject in found if subject.is_model]
    if not found:
        of_datasets = [models_with(name) for name in weights if name in DATASETS]
        models = [name for name in searchable() if all(name in each for each in of_datasets)]
    bundles = [subject.name for subject in found if not subject.is_model]
    backends = [backend] if backend else []
    choices = choices_of(
        models,
        [target],
        backends,
        precisions,
        frames,
        sizes,
        weights,
        calibration,
        options["dataset"],
        options["device"],
    )
    if options["dataset"] is not None:
        models = _trained(models, list(choices.weights), bool(found))
    candidates = options_of(models, bundles, choices, TARGETS[target], published)
    with tools_of(**options) as tools:
        document = Search(candidates, limits, tools, rounds, seed).run()
    text = json.dumps(document, indent=1, allow_nan=False)
    if json_to == STANDARD_OUTPUT:
        click.echo(text)
    else:
        click.echo(report(document))
        if json_to is not None:
            atomic_write(Path(json_to), (text + "\n").encode())
    return 0 if document["best"] else NOTHING_FITS


def _trained(models: list[str], with_weights: list[str], are_named: bool) -> list[str]:
    """The networks whose accuracy means something; ``BenchmarkError`` for a named one with random weights."""
    missing = [name for name in models if name not in with_weights]
    if are_named and missing:
        raise BenchmarkError(
            f"{missing[0]} would have random weights, and an accuracy at chance: "
            f"add --weights {missing[0]}=FILE"
        )
    if not are_named and not with_weights:
        raise BenchmarkError(
            "--dataset needs trained networks: name bundles, or --weights MODEL=FILE, or --weights digits"
        )
    return with_weights


def _check_reachable(target: str, device: str) -> None:
    """Refuse to take this machine's times for those of a board."""
    from edgevid.benchmarks.compare.candidates import of_this_machine
    from edgevid.targets import TARGETS

    entry = TARGETS[target]
    if device == LOCAL and entry not in of_this_machine([entry]):
        raise BenchmarkError(
            f"{target} is not this machine: name the board with --device, as in 'edgevid bench --help'"
        )

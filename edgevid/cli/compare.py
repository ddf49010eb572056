"""``edgevid compare``: accuracy against latency of bundles and networks, in one interleaved run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.comparing import check_published, choices_of, comparing_options, tools_of
from edgevid.cli.result_files import STANDARD_OUTPUT, json_option
from edgevid.cli.subjects import find, refuse_swallowed
from edgevid.errors import BenchmarkError
from edgevid.specs import LOCAL

if TYPE_CHECKING:
    from edgevid.benchmarks.compare.candidates import Candidate, Choices

NO_POINT = 1
OF_NETWORKS = ("targets", "backends", "precisions", "frames", "sizes", "weights", "calibration")


@click.command("compare")
@click.argument("subjects", nargs=-1, metavar="BUNDLE|MODEL ...")
@click.option("--target", "targets", multiple=True, help="Device to export for; repeatable.  [default: cpu]")
@click.option("--backend", "backends", multiple=True, help="Repeatable.  [default: the target's first]")
@click.option(
    "--all-backends", is_flag=True, help="Each MODEL on every backend, in every precision, of this machine."
)
@comparing_options
@click.option("--plot", metavar="FILE.svg|png", help="Draw the chart; a .png needs Chromium or Chrome.")
@click.option(
    "--html", "html_to", metavar="FILE", help="Write a page with the chart, the table and all samples."
)
@json_option("Save the points to FILE")
def command(
    subjects: tuple[str, ...],
    all_backends: bool,
    published: str | None,
    rounds: int,
    seed: int | None,
    plot: str | None,
    html_to: str | None,
    json_to: str | None,
    **options: Any,
) -> int:
    """Compare accuracy, latency, throughput, memory and energy of bundles and networks.

    Each BUNDLE, and each MODEL in every combination of the options, is measured in every round, in a fresh
    process and in random order. What others published is marked so.
    """
    from edgevid.benchmarks.compare.comparison import compare
    from edgevid.benchmarks.compare.table import table

    refuse_swallowed(subjects, json_to, "compare")
    check_published(published)
    outputs = Outputs(json_to, html_to, plot)
    of_networks = {name: options.pop(name) for name in OF_NETWORKS}
    device, dataset = options["device"], options["dataset"]
    candidates = _candidates(subjects, of_networks, device, dataset, all_backends)
    with tools_of(**options) as tools:
        document = compare(candidates, tools, rounds, published_on=published, seed=seed)
    if json_to != STANDARD_OUTPUT:
        click.echo(table(document))
    outputs.write(document)
    return 0 if document["points"] else NO_POINT


def _candidates(
    names: Sequence[str], options: dict[str, Any], device: str, dataset: str | None, all_backends: bool
) -> list[Candidate]:
    """The bundles and networks of the command line; ``EdgevidError`` for one that does not exist."""
    from edgevid.benchmarks.compare.candidates import Candidate

    subjects = [find(name) for name in names]
    models = [subject.name for subject in subjects if subject.is_model]
    if not models and (all_backends or any(options.values())):
        raise BenchmarkError(
            "a bundle has its own target, backend, precision and input: leave these options out, "
            "or name a network"
        )
    if all_backends and (options["backends"] or options["precisions"]):
        raise BenchmarkError(
            "--all-backends has every backend and precision: leave --backend and --precision out"
        )
    if all_backends and device != LOCAL:
        raise BenchmarkError("--all-backends is of this machine: for a board name --target and --backend")
    choices = choices_of(models, device=device, dataset=dataset, **options)
    found: list[Candidate] = []
    for subject in subjects:
        if not subject.is_model:
            found.append(Candidate(subject.name, path=subject.name))
        elif all_backends:
            found += _on_every_backend(subject.name, choices, options["targets"])
        else:
            found += choices.of(subject.name)
    return found


def _on_every_backend(model: str, choices: Choices, targets: Sequence[str]) -> list[Candidate]:
    from edgevid.benchmarks.compare.candidates import of_this_machine
    from edgevid.host.environment import observe
    from edgevid.targets import TARGETS

    chosen = [TARGETS[name] for name in targets] or of_this_machine(TARGETS.values())
    return choices.on_every_backend(model, chosen, has_gpu=bool(observe()["gpus"]))


class Outputs:
    """The files to write; ``BenchmarkError`` at once for one that cannot be written."""

    def __init__(self, json_to: str | None, html_to: str | None, plot: str | None) -> None:
        from edgevid.benchmarks.compare.png import find_browser
        from edgevid.benchmarks.harness.store import ResultFile

        self._json, self._html, self._plot = json_to, html_to, plot
        if plot is not None and Path(plot).suffix not in (".svg", ".png"):
            raise BenchmarkError(f"--plot '{plot}': use a name that ends in .svg or .png")
        if plot is not None and Path(plot).suffix == ".png":
            find_browser()
        for path, option in ((json_to, "--json"), (html_to, "--html"), (plot, "--plot")):
            if path not in (None, STANDARD_OUTPUT):
                ResultFile(Path(path), option)

    def write(self, document: dict[str, Any]) -> None:
        from edgevid.benchmarks.compare.page import page
        from edgevid.host.files import atomic_write

        text = json.dumps(document, indent=1, allow_nan=False)
        if self._json == STANDARD_OUTPUT:
            click.echo(text)
        elif self._json is not None:
            atomic_write(Path(self._json), (text + "\n").encode())
        if self._html is not None:
            atomic_write(Path(self._html), page(document).encode())
        if self._plot is not None:
            atomic_write(Path(self._plot), _picture(document, Path(self._plot).suffix))


def _picture(document: dict[str, Any], suffix: str) -> bytes:
    from edgevid.benchmarks.compare.chart import svg
    from edgevid.benchmarks.compare.png import png

    picture = svg(document["points"])
    return png(picture) if suffix == ".png" else picture.encode()

"""What ``edgevid compare`` and ``edgevid search`` share: options, exports, measurements, progress."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.measuring import keep_in
from edgevid.cli.progress import progress
from edgevid.errors import BenchmarkError
from edgevid.specs import LOCAL, TOLERANCE
from edgevid.specs.registry import check_choice

if TYPE_CHECKING:
    from edgevid.benchmarks.compare.accuracy import Evaluate
    from edgevid.benchmarks.compare.candidates import Choices
    from edgevid.benchmarks.compare.comparison import Tools
    from edgevid.benchmarks.compare.rounds import Progress

ROUNDS, PROCESS_S = 6, 0.5
SCENARIO = "single-stream"


def comparing_options(command: Any) -> Any:
    """How networks are exported and measured side by side."""
    at_least_1 = click.IntRange(min=1)
    for option in (
        click.option("-o", "--output", metavar="DIR", help="Keep exported bundles, and use those there."),
        click.option(
            "--store", envvar="EDGEVID_STORE", metavar="FILE|URL",
            help="Use the results that this store has of the same bundles (keep them with -o), device and "
            "versions, and add new ones.  [env: EDGEVID_STORE]",
        ),
        click.option(
            "--power", metavar="SOURCE",
            help="Fail unless power is measured, as in 'edgevid bench'.  [default: if possible]",
        ),
        click.option("--seed", type=int, help="Of the order in each round.  [default: a new one each time]"),
        click.option("--threads", type=at_least_1, help="Threads to run on.  [default: the backend's]"),
        click.option(
            "--duration", type=click.FloatRange(min=0, min_open=True), default=PROCESS_S, show_default=True,
            help="Seconds of inferences in each process.",
        ),
        click.option(
            "--rounds", type=at_least_1, default=ROUNDS, show_default=True,
            help="Processes of each bundle; six are the fewest for a 95% interval.",
        ),
        click.option(
            "--device", default=LOCAL, show_default=True, help="Where to run, as in 'edgevid bench'."
        ),
        click.option("--dataset", metavar="DIR", help="Measure accuracies on DIR, as in 'edgevid eval'."),
        click.option(
            "--protocol", default="bundle", show_default=True, metavar="P", help="As in 'edgevid eval'."
        ),
        click.option(
            "--published", metavar="NAME",
            help="Without --dataset: whose published accuracies to show.  [default: of most networks]",
        ),
        click.option(
            "--calibration", metavar="DIR",
            help="Folder of videos for int8.  [default: 'train' in --dataset, or else all of it]",
        ),
        click.option(
            "--weights", multiple=True, metavar="[MODEL=]FILE|digits",
            help="Checkpoint of a network; repeatable. 'digits': those that come with edgevid, of each.  "
            "[default: random weights]",
        ),
        click.option("--size", "sizes", multiple=True, type=at_least_1, help="Pixels; repeatable."),
        click.option("--frames", multiple=True, type=at_least_1, help="Frames of a clip; repeatable."),
        click.option(
            "--precision", "precisions", multiple=True, type=click.Choice(list(TOLERANCE)),
            help="Repeatable.  [default: the target's first]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def choices_of(
    models: Sequence[str],
    targets: Sequence[str],
    backends: Sequence[str],
    precisions: Sequence[str],
    frames: Sequence[int],
    sizes: Sequence[int],
    weights: Sequence[str],
    calibration: str | None,
    dataset: str | None,
    device: str,
) -> Choices:
    """The options of the networks, checked; ``BenchmarkError`` for an unknown name."""
    from edgevid.backends import BACKENDS, board_backend
    from edgevid.benchmarks.compare.candidates import Choices
    from edgevid.targets import TARGETS

    for name in targets:
        TARGETS[name]
    for name in backends:
        BACKENDS[name]
    if not backends and (board := board_backend(device)) is not None:
        backends = [board.name]
    return Choices(
        targets or ["cpu"],
        backends,
        precisions,
        frames,
        sizes,
        _weights_of(models, weights),
        calibration or _training_videos(dataset),
    )


def _training_videos(dataset: str | None) -> str | None:
    """The folder of a data set to calibrate on: without its test videos, where folders tell them."""
    if dataset is not None and (train := Path(dataset) / "train").is_dir():
        return str(train)
    return dataset


def check_published(dataset: str | None) -> None:
    """Refuse a data set on which nobody published anything, with those that there are."""
    from edgevid.benchmarks.compare.accuracy import published

    if dataset is not None:
        check_choice("data set", dataset, dict.fromkeys(row.dataset for row in published()))


def _weights_of(models: Sequence[str], weights: Sequence[str]) -> dict[str, str]:
    """The checkpoint of each network, from ``FILE`` (of the only network) or ``MODEL=FILE``."""
    from edgevid.zoo.shipped import DATASETS, find_weights

    found: dict[str, str] = {}
    for text in weights:
        if text in DATASETS:
            found |= {model: str(find_weights(text, model)) for model in models}
            continue
        model, equals, file = text.partition("=")
        if not equals:
            if len(models) != 1:
                raise BenchmarkError(f"--weights {text}: say of which network it is, --weights MODEL={text}")
            model, file = models[0], text
        if model not in models:
            raise BenchmarkError(f"--weights {text}: '{model}' is not among the networks to compare")
        path = find_weights(file, model)
        if not path.exists():
            raise BenchmarkError(f"--weights: there is no '{file}': check the path")
        found[model] = str(path)
    return found


@contextlib.contextmanager
def tools_of(
    output: str | None,
    store: str | None,
    device: str,
    duration: float,
    threads: int | None,
    power: str | None,
    dataset: str | None,
    protocol: str,
) -> Iterator[Tools]:
    """Exports to ``output`` or to a temporary folder, measurements in fresh processes, and the store."""
    from edgevid.benchmarks.compare.comparison import Tools
    from edgevid.benchmarks.harness.harness import measure
    from edgevid.benchmarks.matrix.exports import Exports
    from edgevid.host.environment import observe

    keep = keep_in(store)

    def measure_and_keep(bundle: str) -> dict[str, Any]:
        result = measure(bundle, SCENARIO, duration, threads, device=device, power=power)
        result = {"measurement_id": str(uuid.uuid4()), **result}
        keep(result)
        return result

    def show_rounds(rounds: Progress) -> None:
        show(f"round {rounds.turn} of {rounds.rounds}: {rounds.title}", rounds.done, rounds.total)

    def say(line: str) -> None:
        click.echo(line, err=True)

    with contextlib.ExitStack() as stack:
        if output is None:
            output = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgevid-compare-"))
        exports = Exports(Path(output), say)
        show = stack.enter_context(progress("processes"))
        yield Tools(
            bundle_of=lambda item: item.path or exports.bundle(item.name, item.options),
            measure=measure_and_keep,
            evaluate=_evaluator(dataset, protocol, threads) if dataset else None,
            stored=_stored(store) if store and device == LOCAL else None,
            environment=functools.cache(observe),
            threads=threads,
            say=say,
            show=show_rounds,
        )


def _evaluator(dataset: str, protocol: str, threads: int | None) -> Evaluate:
    """The function that ``edgevid eval`` calls, for one data set; ``EdgevidError`` at once if it is none."""
    from edgevid.benchmarks.evaluation.evaluate import Request
    from edgevid.cli.eval import evaluator
    from edgevid.video.datasets import open_dataset

    run = evaluator(open_dataset(Path(dataset).absolute()), Request(protocol, threads=threads))
    return lambda bundle: run(bundle).result


def _stored(store: str) -> Callable[[str], Iterator[dict[str, Any]]]:
    """A bundle's results in the store. Those of a board are measured again, as its state is not known."""
    from edgevid.benchmarks.store import open_store

    database = open_store(store)
    return lambda sha256: database.results(bundle_sha256=sha256, scenario=SCENARIO)

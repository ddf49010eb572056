"""``edgevid eval``: the accuracy of a bundle on a labelled data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli import INTERRUPTED
from edgevid.cli.progress import LINE_EVERY_S, progress
from edgevid.cli.result_files import STANDARD_OUTPUT, json_option

if TYPE_CHECKING:
    from edgevid.benchmarks.evaluation.evaluate import Request
    from edgevid.benchmarks.evaluation.run import Outcome
    from edgevid.video.datasets import Dataset


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder of a data set: Kinetics, Something-Something, Jester, UCF-101, HMDB-51, lists as of "
    "TSN, or a folder for each class.",
)
@click.option("--split", help="train, validation or test.  [default: the one whose accuracy is published]")
@click.option("--layout", help="How the data set lies on disk.  [default: recognized by its files]")
@click.option(
    "--fold", type=click.IntRange(min=1), default=1, help="Which division into train and test.  [default: 1]"
)
@click.option(
    "--labels",
    type=click.Choice(["sorted", "file"]),
    help="The order of the classes that the network was trained with.  "
    "[default: the usual one of the layout]",
)
@click.option(
    "--videos", metavar="DIR", type=click.Path(path_type=Path), help="Where the videos are, if elsewhere."
)
@click.option("--pattern", help="Names of pictures in folders of frames, such as img_{:05d}.jpg.")
@click.option(
    "--protocol",
    default="bundle",
    show_default=True,
    metavar="P",
    help="How views are taken and averaged: 'bundle' (its own sampling, center crop), "
    "SAMPLING-CLIPSxCROPS[-full] such as uniform-1x1 or dense-10x3-full, or another project's: tsm-official, "
    "tsm-official-10crop, tsm-official-twice, tsm-official-dense, mmaction2-tsm, mmaction2-tsm-dense, "
    "mmaction2-tsm-sthv2, mmaction2-val, mmaction2-3d, pptsm, pptsm-dense.",
)
@click.option("--online", is_flag=True, help="Also stream every frame through a streaming bundle.")
@click.option("--early", is_flag=True, help="Also give top-1 after 10%, 20%, ... of the frames.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of the network.  [default: the backend's]"
)
@click.option(
    "--readers",
    type=click.IntRange(min=1),
    help="Threads that read videos.  [default: one per core, up to 8]",
)
@click.option(
    "--predictions",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write each video's label and five best classes: CSV if FILE ends in .csv, else JSON lines.",
)
@click.option("--resume", is_flag=True, help="Continue where the same command was killed.")
@click.option("--scheduler", metavar="ADDRESS", help="Evaluate on the workers of a Dask cluster.")
@json_option("Write the result to FILE")
def command(
    bundle: Path,
    folder: Path,
    split: str | None,
    layout: str | None,
    fold: int,
    labels: str | None,
    videos: Path | None,
    pattern: str | None,
    protocol: str,
    online: bool,
    early: bool,
    threads: int | None,
    readers: int | None,
    predictions: Path | None,
    resume: bool,
    scheduler: str | None,
    json_to: str | None,
) -> int | None:
    """Measure the accuracy of BUNDLE: top-1, top-5, mean of the classes, calibration, confusion matrix.

    Frames are preprocessed as in training (FFmpeg and Pillow). A video that cannot be read is named and left
    out of every figure. With --json FILE or --predictions FILE each prediction is first written to a journal
    beside that file, from which --resume continues.
    """
    from edgevid.benchmarks.evaluation.cluster import Cluster
    from edgevid.benchmarks.evaluation.evaluate import Request
    from edgevid.benchmarks.evaluation.records import prediction_file
    from edgevid.benchmarks.evaluation.report import text
    from edgevid.benchmarks.harness.store import ResultFile
    from edgevid.video.datasets import Choices, open_dataset

    files = []
    if json_to not in (None, STANDARD_OUTPUT):
        files.append(ResultFile(Path(json_to), render=lambda outcome: _json(outcome.result) + "\n"))
    if predictions is not None:
        render = lambda outcome: prediction_file(predictions, outcome.records, outcome.result["classes"])  # noqa: E731
        files.append(ResultFile(predictions, "--predictions", render))
    beside = files[0].path if files else Path("edgevid-eval")
    journal = beside.with_name(f"{beside.stem}.journal.jsonl") if files or resume else None

    dataset = open_dataset(folder.absolute(), split, layout, Choices(fold, labels, videos, pattern))
    request = Request(protocol, online, early, threads, readers)
    run_videos = Cluster(scheduler, bundle, dataset).run if scheduler else None
    try:
        outcome = evaluator(dataset, request, journal, resume, run_videos)(bundle)
    except KeyboardInterrupt:
        hint = f"; the same command with --resume continues from '{journal}'" if journal else ""
        click.echo(f"edgevid: interrupted{hint}", err=True)
        return INTERRUPTED
    for file in files:
        file.save(outcome)
    click.echo(_json(outcome.result) if json_to == STANDARD_OUTPUT else text(outcome.result))
    return None


def _json(result: dict[str, Any]) -> str:
    return json.dumps(result, allow_nan=False)


def evaluator(
    dataset: Dataset,
    request: Request,
    journal: Path | None = None,
    resume: bool = False,
    run_videos: Callable[..., Any] | None = None,
) -> Callable[[str | Path], Outcome]:
    """Evaluates a bundle on ``dataset``, and shows the videos done and the accuracy of them."""
    from edgevid.benchmarks.evaluation.evaluate import Evaluation
    from edgevid.benchmarks.evaluation.run import evaluate

    count = len(dataset.videos)

    def run(bundle: str | Path) -> Outcome:
        title = f"{Path(bundle).name} on {dataset.name}"
        with progress("videos", first_after_s=LINE_EVERY_S) as show:
            return evaluate(
                Path(bundle),
                dataset,
                request,
                journal,
                resume,
                run_videos or Evaluation.run,
                lambda done, top1: show(f"{title}, top-1 {top1:.1%}", done, count),
            )

    return run

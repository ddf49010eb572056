"""``edgevid dataset``: make a data set of labelled videos."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

DEFAULT_VIDEOS, DEFAULT_FRAMES = (100, 30), 24
DEFAULT_STREAMS, DEFAULT_STREAM_FRAMES = (40, 12), 240


@click.group("dataset")
def command() -> None:
    """Make a data set of labelled videos."""


@command.command("digits")
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of the data set.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same frames."
)
@click.option(
    "--streaming",
    is_flag=True,
    help="Long videos in which activities follow each other, with the class of each frame in a CSV file.",
)
@click.option(
    "--videos",
    nargs=2,
    type=click.IntRange(min=0),
    metavar="TRAIN TEST",
    help="How many in train and in test, of each class. [default: 100 30; with --streaming 40 12 in all]",
)
@click.option(
    "--size",
    default=64,
    show_default=True,
    type=click.IntRange(16, 1024),
    help="Height and width in pixels, even.",
)
@click.option(
    "--frames", type=click.IntRange(min=2), help="Of each video. [default: 24; with --streaming 240]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest on stdout.")
def digits(
    output: str,
    seed: int,
    streaming: bool,
    videos: tuple[int, int] | None,
    size: int,
    frames: int | None,
    as_json: bool,
) -> None:
    """Real handwritten digits that move, grow, turn or follow each other, as class folders of H.264 files.

    The ten classes are five pairs, and a video of one is a video of the other backwards: only the order of
    the frames tells them apart. The digits in train are not in test. Needs scikit-learn.
    """
    if size % 2:
        raise click.BadParameter("it must be even, as H.264 halves the colors", param_hint="'--size'")
    from edgevid.cli.progress import shown
    from edgevid.video.datasets.digits.clips import Options
    from edgevid.video.datasets.digits.write import write_digits

    options = Options(
        seed,
        videos or (DEFAULT_STREAMS if streaming else DEFAULT_VIDEOS),
        size,
        frames or (DEFAULT_STREAM_FRAMES if streaming else DEFAULT_FRAMES),
    )
    manifest = write_digits(Path(output), options, streaming, partial(shown, text="rendering digits"))
    if as_json:
        click.echo(json.dumps(manifest, indent=2))
        return
    click.echo(f"{output}: {manifest['count']} videos of {len(manifest['classes'])} classes")
    if not streaming:
        click.echo(f"next: edgevid train MODEL --dataset {output}, or edgevid eval BUNDLE --dataset {output}")

"""``edgevid train``: train a network of the zoo on a data set of videos."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.progress import shown
from edgevid.errors import EdgevidError, VideoError

if TYPE_CHECKING:
    import numpy as np

    from edgevid.video.datasets import Dataset
    from edgevid.zoo.training.checkpoint import Epoch, Run
    from edgevid.zoo.training.clips import Clips
    from edgevid.zoo.training.loop import Training
    from edgevid.zoo.training.recipe import Recipe
    from edgevid.zoo.training.trained import Trained

INTERRUPTED = 130
KEPT_PER_FRAME = 4
"""Frames of a training video that are kept for each frame of a clip; more are thinned out evenly."""

MOST_NAMED = 3

RATE_FROM_RANDOM = 0.1
"""The classifier's rate in multiples of the backbone's, where the recipe's is for a trained backbone."""


@click.command("train")
@click.argument("model")
@click.option("--dataset", required=True, metavar="DIR", help="The data set, as 'edgevid eval' reads it.")
@click.option("--split", default="train", show_default=True, metavar="NAME", help="What to train on.")
@click.option("--test-split", metavar="NAME", help="What to test on. [default: what is published for it]")
@click.option("-o", "--output", metavar="DIR", help="Folder of the checkpoints. [default: MODEL.train]")
@click.option("--resume", is_flag=True, help="Continue the training in the folder after its last epoch.")
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(("tsn", "pptsm")),
    default="tsn",
    show_default=True,
    help="tsn: steps, gradient clipping, partial batch norm. pptsm: cosine with warm-up, label smoothing, "
    "video mix-up, precise batch norm.",
)
@click.option("--epochs", type=int, help="Passes over the videos. [default: the recipe's]")
@click.option("--batch", type=int, help="Clips in a step. [default: the recipe's]")
@click.option("--lr", type=float, help="Learning rate of the backbone. [default: the recipe's]")
@click.option(
    "--classifier-rate",
    type=float,
    metavar="FACTOR",
    help="The classifier's rate in multiples of --lr. [default: 5 with --weights, else 0.1]",
)
@click.option("--dropout", type=float, help="Before the classifier. [default: the recipe's]")
@click.option("--mixup", type=float, metavar="ALPHA", help="Of clips; 0 for none. [default: the recipe's]")
@click.option("--scales", metavar="A,B,...", help="Sides of crops, as shares of the image's short side.")
@click.option("--flip", is_flag=True, help="Mirror clips at random; not for classes with a direction.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames of a clip, T. [default: the network's]")
@click.option("--size", type=click.IntRange(min=1), help="Height and width. [default: the network's]")
@click.option(
    "--short-side",
    type=click.IntRange(min=1),
    help="Short side that videos are resized to before the crop. [default: 8/7 of the size]",
)
@click.option("--width", type=float, default=1.0, show_default=True, help="Multiple of the channels.")
@click.option("--weights", metavar="FILE", help="Checkpoint to start from. [default: random weights]")
@click.option("--teacher", metavar="FILE", help="A checkpoint.pt of edgevid whose answers are imitated too.")
@click.option(
    "--keep",
    type=click.Choice(("best", "last")),
    default="best",
    show_default=True,
    help="The epoch that checkpoint.pt is of; the last one where the test split chooses nothing.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads. [default: one per core]")
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="GIB",
    help="Most memory for decoded videos.",
)
def command(model: str, output: str | None, resume: bool, dataset: str, **options: Any) -> int:
    """Train MODEL, a network of 'edgevid list models', on the videos of a data set.

    The folder gets checkpoint.pt, weights which 'edgevid export MODEL --weights' reads with their
    preprocessing and classes; last.pt, from which --resume continues; classes.txt and the curves.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise EdgevidError("training needs PyTorch: pip install 'edgevid[train]'") from None
    from edgevid.host.processor import usable_cores
    from edgevid.zoo.training.checkpoint import KEPT, LAST, read_state
    from edgevid.zoo.training.curves import curves_json
    from edgevid.zoo.training.loop import kept_epoch

    folder = Path(output or f"{model}.train")
    last = folder / LAST
    if last.exists() and not resume:
        raise EdgevidError(f"'{folder}' holds a training: continue it with --resume, or choose another -o")
    if resume and not last.exists():
        raise EdgevidError(f"'{folder}' holds no training to resume: leave out --resume")
    threads = options["threads"] or usable_cores()
    torch.set_num_threads(threads)
    run, splits = _plan(model, dataset, options)
    state = read_state(last, run) if resume else None
    training = _prepare(run, splits, folder, threads, options)
    done = list(state.epochs) if state else []
    if state:
        _say(f"continuing after epoch {len(done)}")
    try:
        for epoch in training.epochs(state):
            done.append(epoch)
            training.save("curves.json", curves_json(training.run, done))
            _say(
                f"epoch {epoch.number}/{training.run.recipe.epochs}: loss {epoch.loss:.3f}, test loss "
                f"{epoch.test_loss:.3f}, test top-1 {epoch.test_accuracy:.1%}, {epoch.seconds:.1f} s"
            )
    except KeyboardInterrupt:
        hint = "the same command with --resume continues" if done else "nothing was trained"
        _say(f"edgevid: interrupted after epoch {len(done)}; {hint}")
        return INTERRUPTED
    finally:
        if done:
            _draw(training, done)
    kept = kept_epoch(done, training.keeps_last)
    click.echo(f"wrote {folder / KEPT}: epoch {kept.number}, top-1 {kept.test_accuracy:.1%}")
    click.echo(f"  next: edgevid export {model} --weights {folder / KEPT}")
    return 0


def _plan(model: str, dataset: str, options: dict[str, Any]) -> tuple[Run, list[Dataset]]:
    """What to train and on which videos; wrong input is found here, before they are decoded."""
    from edgevid.video.datasets import open_dataset
    from edgevid.zoo import MODELS
    from edgevid.zoo.training.checkpoint import Run
    from edgevid.zoo.training.trained import Trained

    spec = MODELS[model]
    if spec.input != "clip" or spec.channels != 3 or not spec.classes:
        raise EdgevidError(f"{model} is no classifier of RGB clips: choose another of 'edgevid list models'")
    splits = [open_dataset(dataset, options[name]) for name in ("split", "test_split")]
    if splits[0].classes != splits[1].classes:
        raise EdgevidError(f"the splits of '{dataset}' have different classes: train and test on the same")
    if {video.path for video in splits[0].videos} & {video.path for video in splits[1].videos}:
        raise EdgevidError(
            f"'{dataset}' has the same videos in '{splits[0].split}' and '{splits[1].split}': what is tested "
            "must not be trained on, choose others with --split and --test-split"
        )
    size = options["size"] or spec.size
    preprocessing = spec.preprocessing.at_size(size)
    if options["short_side"]:
        preprocessing = dataclasses.replace(preprocessing, short_side=options["short_side"])
    if preprocessing.short_side < size:
        raise EdgevidError(f"--short-side must be at least the size, {size}: the crop is taken from it")
    trained = Trained(
        model, options["frames"] or spec.frames, splits[0].classes, preprocessing, options["width"]
    )
    weights, teacher = (
        Path(options[name]).name if options[name] else None for name in ("weights", "teacher")
    )
    return Run(trained, _recipe(options), options["seed"], weights, teacher), splits


def _prepare(
    run: Run, splits: list[Dataset], folder: Path, threads: int, options: dict[str, Any]
) -> Training:
    """The network, its teacher, and the videos in memory."""
    import torch
    from torch import nn

    import edgevid
    from edgevid.host.files import atomic_write
    from edgevid.video.in_memory import GIB, evenly
    from edgevid.video.sampling import segment_indices
    from edgevid.zoo.create import create_model
    from edgevid.zoo.training.checkpoint import load_network
    from edgevid.zoo.training.loop import Training

    trained = run.trained
    torch.manual_seed(run.seed)
    network = create_model(trained.model, len(trained.classes), trained.frames, **trained.options)
    if options["weights"]:
        edgevid.load_weights(network, options["weights"], new_classes=True)
    teacher: nn.Module | None = None
    if options["teacher"]:
        teacher, other = load_network(Path(options["teacher"]))
        _check_teacher(other, trained)
    side, memory = trained.preprocessing.short_side, options["memory"]
    clips = _decode(splits[0], side, evenly(KEPT_PER_FRAME * trained.frames), threads, memory)
    memory -= sum(video.nbytes for video in clips.videos) / GIB
    centers = functools.partial(segment_indices, frames=trained.frames)
    test_clips = _decode(splits[1], side, centers, threads, memory)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "classes.txt", "".join(f"{name}\n" for name in trained.classes).encode())
    return Training(
        network,
        run,
        clips,
        test_clips,
        save=lambda name, data: atomic_write(folder / name, data),
        keeps_last=options["keep"] == "last",
        teacher=teacher,
        progress=shown,
    )


def _recipe(options: dict[str, Any]) -> Recipe:
    from edgevid.zoo.training.recipe import RECIPES

    changes = {
        field: options[option]
        for field, option in (
            ("epochs", "epochs"),
            ("batch", "batch"),
            ("rate", "lr"),
            ("classifier_rate", "classifier_rate"),
            ("dropout", "dropout"),
            ("mixup", "mixup"),
        )
        if options[option] is not None
    }
    if options["weights"] is None:
        changes.setdefault("classifier_rate", RATE_FROM_RANDOM)
    if options["scales"]:
        try:
            changes["scales"] = tuple(float(scale) for scale in options["scales"].split(","))
        except ValueError:
            raise EdgevidError(f"--scales takes numbers such as 1,0.875, not '{options['scales']}'") from None
    return dataclasses.replace(RECIPES[options["recipe_name"]], flip=options["flip"], **changes)


def _check_teacher(teacher: Trained, student: Trained) -> None:
    for name in ("classes", "frames", "preprocessing"):
        if getattr(teacher, name) != getattr(student, name):
            raise EdgevidError(f"the teacher has other {name} than the student: train it on the same input")


def _decode(
    dataset: Dataset,
    short_side: int,
    choose: Callable[[int], np.ndarray],
    threads: int,
    memory_gib: float,
) -> Clips:
    from edgevid.video.in_memory import decode_all
    from edgevid.zoo.training.clips import Clips

    videos: list[np.ndarray] = []
    labels: list[int] = []
    damaged: list[str] = []
    count = len(dataset.videos)
    decoded = decode_all([video.source for video in dataset.videos], short_side, choose, threads, memory_gib)
    for video, frames in zip(dataset.videos, shown(decoded, count, f"decoding {dataset.split}")):
        if isinstance(frames, VideoError):
            damaged.append(str(frames))
        else:
            videos.append(frames)
            labels.append(video.label)
    if damaged:
        more = f" and {len(damaged) - MOST_NAMED} more" if len(damaged) > MOST_NAMED else ""
        _say(f"left out {len(damaged)} of {count} videos: {'; '.join(damaged[:MOST_NAMED])}{more}")
    return Clips(videos, labels)


def _draw(training: Training, epochs: list[Epoch]) -> None:
    from edgevid.zoo.training.curves import draw_curves

    for name, data in draw_curves(training.run, epochs).items():
        training.save(name, data)


def _say(line: str) -> None:
    click.echo(line, err=True)

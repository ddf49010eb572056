"""What networks learn of time: each small one trained on the embedded data set, exported, and tested.

``python -m edgevid.benchmarks.experiments.digits [--models tsn_mbv2 tsm_mbv2 ...] [--dataset DIR] [-o DIR]
[--json FILE]``

Each network is trained by ``edgevid train`` from random weights. Its last weights are tested on the test
videos, which choose nothing, in eager PyTorch, as an fp32 and as an int8 bundle, with the same input clips.
The report has each command. The classes are pairs of which one is the other backwards.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

import edgevid
from edgevid.errors import BenchmarkError, EdgevidError
from edgevid.host.environment import environment_warnings, observe
from edgevid.host.files import atomic_write
from edgevid.host.processor import usable_cores
from edgevid.video.clips import load_clip
from edgevid.video.datasets import Dataset, open_dataset
from edgevid.video.datasets.digits.activities import PAIRS
from edgevid.video.datasets.digits.write import MANIFEST
from edgevid.zoo.training.checkpoint import load_network

EDGEVID = (sys.executable, "-c", "from edgevid.cli import console; console()")
NETWORKS = {"tsn_mbv2": 0.5, "tsm_mbv2": 0.5, "tsm_mbv2_online": 0.5, "stm_r50": 0.25, "action_mbv2": 0.5}
"""With the width, which leaves each with 0.7 to 1.5 million weights."""

SIZE, VIDEOS = 32, ("300", "50")
"""Pixels, and videos of each class to train on and to test on."""
RECIPE = "--recipe pptsm --mixup 0 --lr 0.02 --dropout 0 --scales 1,0.875"
"""PP-TSM's, for few epochs from random weights and videos of which every pixel counts."""

Predict = Callable[[np.ndarray], np.ndarray]
"""From a clip ``(1, T, 3, H, W)`` to its logits ``(1, classes)``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--dataset", type=Path, help="made there if it is not (OUTPUT/digits)")
    parser.add_argument("-o", "--output", type=Path, default=Path("digits-study"))
    parser.add_argument("--epochs", type=int, default=6, help="of each network (6)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    environment = observe()
    dataset = options.dataset or options.output / "digits"
    try:
        if not dataset.exists():
            made = ("--videos", *VIDEOS, "--seed", str(options.seed))
            edgevid_command("dataset", "digits", "-o", str(dataset), *made)
        results = [study(name, dataset, options) for name in options.models]
    except EdgevidError as error:
        parser.exit(2, f"error: {error}\n")
    print(table(results))
    print(f"{environment['device']}, {options.threads} threads, {environment['date_utc']}")
    for warning in environment_warnings(environment):
        print(f"warning: {warning}")
    if options.json:
        made_by = json.loads((dataset / MANIFEST).read_text())
        document = {"environment": environment, "dataset": made_by, "results": results}
        atomic_write(options.json, (json.dumps(document, indent=1) + "\n").encode())


def study(name: str, dataset: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train, export and test one network; a training that has begun is continued."""
    folder = options.output / name
    train = [
        *("train", name, "--dataset", str(dataset), "-o", str(folder), "--keep", "last"),
        *("--width", str(NETWORKS[name]), "--size", str(SIZE), "--short-side", str(SIZE)),
        *("--epochs", str(options.epochs), "--seed", str(options.seed)),
        *("--threads", str(options.threads)),
        *RECIPE.split(),
    ]
    edgevid_command(*train, *(["--resume"] if (folder / "last.pt").exists() else []))
    results = json.loads((folder / "curves.json").read_text())["epochs"]
    commands: list[Sequence[str]] = [train]
    bundles = {precision: options.output / f"{name}.{precision}" for precision in ("fp32", "int8")}
    for precision, bundle in bundles.items():
        calibration = ("--calibration", str(dataset / "train")) if precision == "int8" else ()
        export = ("export", name, "--weights", str(folder / "checkpoint.pt"), "--force", "-o", str(bundle))
        commands.append(edgevid_command(*export, "--precision", precision, *calibration))
    network, trained = load_network(folder / "checkpoint.pt")
    candidates = {
        "eager": eager(network),
        **{precision: bundled(bundle, options.threads) for precision, bundle in bundles.items()},
    }
    test = open_dataset(dataset, "test")
    predicted = predictions(candidates, test, trained.frames, trained.preprocessing)
    labels = np.array([video.label for video in test.videos])
    return {
        "model": name,
        "commands": [shlex.join(("edgevid", *command)) for command in commands],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "checkpoint_bytes": (folder / "checkpoint.pt").stat().st_size,
        "training_s": round(sum(epoch["seconds"] for epoch in results), 1),
        "epochs": results,
        "videos": len(labels),
        "classes": list(test.classes),
        "top1": {key: float((values == labels).mean()) for key, values in predicted.items()},
        "order": {key: order_accuracy(labels, values, test.classes) for key, values in predicted.items()},
        "confusion": {
            key: confusion(labels, values, len(test.classes)).tolist() for key, values in predicted.items()
        },
    }


def edgevid_command(*arguments: str) -> tuple[str, ...]:
    """Run ``edgevid``; its own message is above, if it fails."""
    print(f"$ {shlex.join(('edgevid', *arguments))}", flush=True)
    if subprocess.run([*EDGEVID, *arguments]).returncode:
        raise BenchmarkError(f"edgevid {arguments[0]} failed: see its message above")
    return arguments


def eager(network: torch.nn.Module) -> Predict:
    @torch.no_grad()
    def predict(clip: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(clip)).numpy()

    return predict


def bundled(bundle: Path, threads: int) -> Predict:
    session = edgevid.open(bundle, threads=threads)
    return lambda clip: session.run(clip)["logits"]


def predictions(
    candidates: dict[str, Predict], dataset: Dataset, frames: int, preprocessing: Any
) -> dict[str, np.ndarray]:
    """The best class of each video by each candidate, all from the same input."""
    best: dict[str, list[int]] = {name: [] for name in candidates}
    for video in dataset.videos:
        clip = load_clip(video.source, preprocessing, frames).data
        for name, predict in candidates.items():
            best[name].append(int(predict(clip).argmax()))
    return {name: np.array(values) for name, values in best.items()}


def order_accuracy(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> float | None:
    """Where the best class is of the right pair, how often it is the right one of the two; chance is 0.5.

    None if it never is of the right pair.
    """
    other = np.empty(len(classes), int)
    for pair in PAIRS:
        forward, backward = classes.index(pair.forward), classes.index(pair.backward)
        other[forward], other[backward] = backward, forward
    of_pair = (predicted == labels) | (predicted == other[labels])
    return float((predicted == labels)[of_pair].mean()) if of_pair.any() else None


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts: the true class by row, the predicted one by column."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def table(results: list[dict[str, Any]]) -> str:
    rows = [
        {
            "network": result["model"],
            "weights": f"{result['parameters'] / 1e6:.2f} M",
            "trained in": f"{result['training_s'] / 60:.1f} min",
            **{f"{name} top-1": _percent(top1) for name, top1 in result["top1"].items()},
            "order": _percent(result["order"]["eager"]),
        }
        for result in results
    ]
    return tabulate(rows, headers="keys")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()

"""Trained weights that come with edgevid: ``--weights digits`` names those of the data set of digits.

Each is a checkpoint of ``edgevid train`` in ``weights/``, with matrices in half precision. ``python -m
edgevid.benchmarks.experiments.digits_weights`` writes them.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgevid.errors import WeightsError

FOLDER = Path(__file__).parent / "weights"
DATASETS = ("digits",)
REMEDY = "train them: edgevid dataset digits -o digits, then edgevid train {model} --dataset digits"


def file_name(model: str, dataset: str) -> str:
    return f"{model}.{dataset}.pt"


def find_weights(name: str | os.PathLike[str], model: str, folder: Path = FOLDER) -> Path:
    """The file of ``--weights``: the path itself, or ``model``'s for the name of a data set in ``DATASETS``.

    ``./digits`` is a file or folder of that name. Raises ``WeightsError`` if none come for ``model``.
    """
    dataset = os.fspath(name)
    if dataset not in DATASETS:
        return Path(name)
    path = folder / file_name(model, dataset)
    if path.is_file():
        return path
    models = models_with(dataset, folder)
    others = f"choose {', '.join(models)}, or " if models else ""
    raise WeightsError(
        f"no weights of {model} on '{dataset}' come with edgevid: {others}{REMEDY.format(model=model)}"
    )


def models_with(dataset: str, folder: Path = FOLDER) -> list[str]:
    """The networks for which weights of this data set come with edgevid."""
    ending = file_name("", dataset)
    return sorted(file.name.removesuffix(ending) for file in folder.glob(f"*{ending}"))

"""Reading the checkpoints that people already have into the networks of the zoo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from edgevid.errors import WeightsError
from edgevid.weights.names import canonical_names
from edgevid.weights.read import read_state_dict

__all__ = ["checkpoint_classes", "load_weights"]

SHOWN = 3
CLASSIFIER = "classifier.weight"
REBUILT = "num_batches_tracked"
"""A counter of training that inference never reads; older checkpoints lack it."""


def load_weights(model: nn.Module, path_or_state_dict: str | os.PathLike | Mapping[str, Any]) -> nn.Module:
    """Fill ``model`` from a checkpoint file or a state dict and return it.

    Reads the released TSM and TSN checkpoints (``state_dict`` with ``module.`` names, with or without
    ``.net`` in the shifted convolutions), the online demo's, and a plain state dict of ``model`` itself.
    Raises ``WeightsError`` if the file cannot be read, or with the first names that do not fit; the model is
    then unchanged.
    """
    wanted = model.state_dict()
    given = canonical_names(read_state_dict(path_or_state_dict), wanted)
    _check_classes(given, wanted)
    problems = _problems(given, wanted)
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise WeightsError(
            f"these are not the weights of this network: {'; '.join(problems[:SHOWN])}{more}. "
            "Choose the model that the checkpoint was trained as ('edgevid list models')"
        )
    model.load_state_dict(given, strict=False)
    return model


def checkpoint_classes(path_or_state_dict: str | os.PathLike | Mapping[str, Any]) -> int | None:
    """The number of classes of a checkpoint's classifier, or None if it is not one of those we know."""
    weight = canonical_names(read_state_dict(path_or_state_dict), {CLASSIFIER: None}).get(CLASSIFIER)
    return None if weight is None else int(weight.shape[0])


def _check_classes(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    theirs, ours = given.get(CLASSIFIER), wanted.get(CLASSIFIER)
    if theirs is None or ours is None or theirs.ndim != ours.ndim or theirs.shape[1:] != ours.shape[1:]:
        return
    if theirs.shape[0] != ours.shape[0]:
        raise WeightsError(
            f"the checkpoint has {theirs.shape[0]} classes, the network {ours.shape[0]}: "
            f"use --classes {theirs.shape[0]} (num_classes={theirs.shape[0]} in Python)"
        )


def _problems(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing" for name in wanted if name not in given and not name.endswith(REBUILT)]
    unknown = [f"{name} is unknown" for name in given if name not in wanted]
    shapes = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    return shapes + missing + unknown

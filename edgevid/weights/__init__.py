"""Reading the checkpoints that people already have into the networks of the zoo."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from edgevid.errors import WeightsError
from edgevid.weights.names import canonical_names
from edgevid.weights.read import read_state_dict
from edgevid.zoo.shift import TemporalShift

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
    state = read_state_dict(path_or_state_dict)
    names = canonical_names(state, wanted, _shifts(model))
    given = {name: state[theirs] for name, theirs in names.items()}
    _check_classes(given, wanted)
    problems = _problems(given, wanted, names)
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise WeightsError(
            f"these are not the weights of this network: {'; '.join(problems[:SHOWN])}{more}. "
            "Choose the model that the checkpoint was trained as ('edgevid list models')"
        )
    model.load_state_dict(given, strict=False)
    return model


def checkpoint_classes(state: Mapping[str, Tensor]) -> int | None:
    """The number of classes of a checkpoint's classifier, or None if it is not one of those we know."""
    name = canonical_names(state, (CLASSIFIER,)).get(CLASSIFIER)
    return None if name is None else int(state[name].shape[0])


def _shifts(model: nn.Module) -> Callable[[str], bool]:
    """Tells of a layer such as ``backbone.layer1.0.conv1`` whether its block shifts what it reads."""
    blocks = {
        name.removesuffix("shift")
        for name, module in model.named_modules()
        if isinstance(module, TemporalShift)
    }
    return lambda layer: any(layer.startswith(block) for block in blocks)


def _check_classes(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    theirs, ours = given.get(CLASSIFIER), wanted.get(CLASSIFIER)
    if theirs is None or ours is None or theirs.ndim != ours.ndim or theirs.shape[1:] != ours.shape[1:]:
        return
    if theirs.shape[0] != ours.shape[0]:
        raise WeightsError(
            f"the checkpoint has {theirs.shape[0]} classes, the network {ours.shape[0]}: "
            f"use --classes {theirs.shape[0]} (num_classes={theirs.shape[0]} in Python)"
        )


def _problems(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], names: Mapping[str, str]
) -> list[str]:
    """What does not fit, in words, by the names that stand in the checkpoint where it has them."""
    shapes = [
        f"{names[name]} is {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    missing = [f"{name} is missing" for name in wanted if name not in given and not name.endswith(REBUILT)]
    unknown = [f"{names[name]} is unknown" for name in given if name not in wanted]
    return shapes + unknown + missing

"""Whether the tensors of a checkpoint fit a network, and what of them fills its backbone alone."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

from torch import Tensor

REBUILT = "num_batches_tracked"
"""A counter of training that inference never reads; older checkpoints lack it."""


COUNTERS = frozenset({"total_ops", "total_params", "n_averaged", "num_averaged"})
"""What counters of multiply-adds leave in every module, and averages in theirs."""

OF_TRAINING = re.compile(
    r"(.*_)?(loss(es)?\d*|criteri(on|a)|metrics?|ema_decay)(_.*)?|(train|val|valid|test)_(acc|top|f1|auroc|conf).*"
)
"""A part of a tensor's name that tells that it belongs to a loss or a metric, not to the network."""


def left_out_of(names: Iterable[str], used: Container[str]) -> dict[str, str]:
    """Of the names that the network has not ``used``, those of a training's other tensors, and their kind."""
    found = {}
    for name in names:
        parts = name.split(".")
        if name in used:
            continue
        if parts[-1] in COUNTERS:
            found[name] = "counters"
        elif any(OF_TRAINING.fullmatch(part) for part in parts):
            found[name] = "loss weights"
    return found


def without_axes_of_one(tensor: Tensor, wanted: Tensor) -> Tensor:
    """``tensor`` in the shape of ``wanted``, if they differ by axes of length 1 alone; else as it is."""
    if [n for n in tensor.shape if n != 1] == [n for n in wanted.shape if n != 1]:
        return tensor.reshape(wanted.shape)
    return tensor


def backbone_of(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a checkpoint is taken for the backbone alone: all but a classifier that does not fit.

    A first convolution that reads other channels than RGB takes the mean over RGB for each of them:
    "cross-modality pre-training", Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2.
    """
    taken = {}
    for name, tensor in given.items():
        if name.startswith("classifier.") and (name not in wanted or tensor.shape != wanted[name].shape):
            continue
        taken[name] = _over_channels(tensor, wanted[name]) if name in wanted else tensor
    return taken


def layers_of(names: Iterable[str]) -> list[str]:
    """The layers that these parameters are of, but for the counters of batch norms; the classifier first."""
    layers = {name.rpartition(".")[0] for name in names if not name.endswith(REBUILT)}
    return sorted(layers, key=lambda layer: (layer != "classifier", layer))


def problems_of(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    names: Mapping[str, str],
    backbone_only: bool = False,
) -> list[str]:
    """What does not fit, in words, by the names that stand in the checkpoint where it has them.

    ``backbone_only``: layers of a kind that the checkpoint does not know at all may be missing.
    """
    shapes = [
        f"{names[name]} is {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    kinds = {_kind(name) for name in given}
    missing = [
        f"{name} is missing"
        for name in wanted
        if name not in given
        and not name.endswith(REBUILT)
        and not (backbone_only and _kind(name) not in kinds)
    ]
    unknown = [f"{names[name]} is unknown" for name in given if name not in wanted]
    return shapes + unknown + missing


def _over_channels(tensor: Tensor, wanted: Tensor) -> Tensor:
    rgb = tensor.ndim == 4 and tensor.shape[1] == 3
    if rgb and wanted.shape == (tensor.shape[0], wanted.shape[1], *tensor.shape[2:]):
        return tensor if wanted.shape[1] == 3 else tensor.mean(1, keepdim=True).expand_as(wanted).clone()
    return tensor


def _kind(name: str) -> str:
    """The name without its numbers: one layer of every block, whichever block it is in."""
    return re.sub(r"\d+", "#", name)

"""Whether the tensors of a checkpoint fit a network, and what of them fills its backbone alone."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

from torch import Tensor

REBUILT = "num_batches_tracked"
"""A counter of training that inference never reads; older checkpoints lack it."""


COUNTERS = frozenset({"total_ops", "total_params", "n_averaged", "num_averaged"})
"""Buffers that MAC counters and weight averages leave in modules."""

OF_TRAINING = re.compile(
    r"(.*_)?(loss(es)?\d*|criteri(on|a)|metrics?|ema_decay)(_.*)?|(train|val|valid|test)_(acc|top|f1|auroc|conf).*"
)
"""A part of a tensor's name that tells that it belongs to a loss or a metric, not to the network."""


def left_out_of(names: Iterable[str], used: Container[str]) -> dict[str, str]:
    """Of the names that the network has not ``used``, those of a training's other tensors, and their kind."""
    kinds = {}
    for name in names:
        parts = name.split(".")
        if name in used:
            continue
        if parts[-1] in COUNTERS:
            kinds[name] = "counters"
        elif any(OF_TRAINING.fullmatch(part) for part in parts):
            kinds[name] = "loss weights"
    return kinds


def without_axes_of_one(tensor: Tensor, expected: Tensor) -> Tensor:
    """``tensor`` in the shape of ``expected``, if they differ by axes of length 1 alone; else as it is."""
    if [n for n in tensor.shape if n != 1] == [n for n in expected.shape if n != 1]:
        return tensor.reshape(expected.shape)
    return tensor


def backbone_of(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a checkpoint is taken for the backbone alone: all but a classifier that does not fit.

    A first convolution that reads other channels than RGB takes the mean over RGB for each of them:
    "cross-modality pre-training", Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2.
    """
    taken = {}
    for name, tensor in tensors.items():
        if name.startswith("classifier.") and (name not in expected or tensor.shape != expected[name].shape):
            continue
        taken[name] = _over_channels(tensor, expected[name]) if name in expected else tensor
    return taken


def layers_of(names: Iterable[str]) -> list[str]:
    """The layers that these parameters are of, but for the counters of batch norms; the classifier first."""
    layers = {name.rpartition(".")[0] for name in names if not name.endswith(REBUILT)}
    return sorted(layers, key=lambda layer: (layer != "classifier", layer))


def problems_of(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    names: Mapping[str, str],
    backbone_only: bool = False,
) -> list[str]:
    """What does not fit, in words, by the names that stand in the checkpoint where it has them.

    ``backbone_only``: layers of a kind that the checkpoint does not know at all may be missing.
    """
    shapes = [
        f"{names[name]} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    kinds = {_kind(name) for name in tensors}
    missing = [
        f"{name} is missing"
        for name in expected
        if name not in tensors
        and not name.endswith(REBUILT)
        and not (backbone_only and _kind(name) not in kinds)
    ]
    unknown = [f"{names[name]} is unknown" for name in tensors if name not in expected]
    return shapes + unknown + missing


def _over_channels(tensor: Tensor, expected: Tensor) -> Tensor:
    rgb = tensor.ndim == 4 and tensor.shape[1] == 3
    if rgb and expected.shape == (tensor.shape[0], expected.shape[1], *tensor.shape[2:]):
        return tensor if expected.shape[1] == 3 else tensor.mean(1, keepdim=True).expand_as(expected).clone()
    return tensor


def _kind(name: str) -> str:
    """The name without its numbers: one layer of every block, whichever block it is in."""
    return re.sub(r"\d+", "#", name)

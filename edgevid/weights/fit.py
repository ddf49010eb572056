"""Checks whether the tensors of a checkpoint fit a network, or its backbone."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

from torch import Tensor

BATCH_COUNTER = "num_batches_tracked"
"""The batch counter of batch norms, which inference never reads; older checkpoints lack it."""


COUNTERS = frozenset({"total_ops", "total_params", "n_averaged", "num_averaged"})
"""Buffers that MAC counters and weight averaging add to modules."""

TRAINING_STATE = re.compile(
    r"(.*_)?(loss(es)?\d*|criteri(on|a)|metrics?|ema_decay)(_.*)?|(train|val|valid|test)_(acc|top|f1|auroc|conf).*"
)
"""Parts of tensor names that belong to a loss or a metric, not to the network."""


def training_state_of(names: Iterable[str], used: Container[str]) -> dict[str, str]:
    """The names of losses, metrics and counters among those not ``used`` by the network, with their kind."""
    kinds = {}
    for name in names:
        parts = name.split(".")
        if name in used:
            continue
        if parts[-1] in COUNTERS:
            kinds[name] = "counters"
        elif any(TRAINING_STATE.fullmatch(part) for part in parts):
            kinds[name] = "loss weights"
    return kinds


def match_unit_axes(tensor: Tensor, expected: Tensor) -> Tensor:
    """``tensor`` in the shape of ``expected`` if they differ only by axes of length 1; else unchanged."""
    if [n for n in tensor.shape if n != 1] == [n for n in expected.shape if n != 1]:
        return tensor.reshape(expected.shape)
    return tensor


def backbone_of(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors for the backbone: all except a classifier of another shape.

    A first convolution on other channels than RGB takes the mean over RGB for each of them: "cross-modality
    pre-training", Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2.
    """
    backbone = {}
    for name, tensor in tensors.items():
        if name.startswith("classifier.") and (name not in expected or tensor.shape != expected[name].shape):
            continue
        backbone[name] = _over_channels(tensor, expected[name]) if name in expected else tensor
    return backbone


def layers_of(names: Iterable[str]) -> list[str]:
    """The layers of these parameters, the classifier first; ignores the batch counters of batch norms."""
    layers = {name.rpartition(".")[0] for name in names if not name.endswith(BATCH_COUNTER)}
    return sorted(layers, key=lambda layer: (layer != "classifier", layer))


def problems_of(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    names: Mapping[str, str],
    backbone_only: bool = False,
) -> list[str]:
    """Descriptions of the tensors that do not fit, by their names in the checkpoint where they have one.

    With ``backbone_only``, layers of a kind that the checkpoint does not have may be missing.
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
        and not name.endswith(BATCH_COUNTER)
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
    """The name without its numbers, which is the same in every block."""
    return re.sub(r"\d+", "#", name)

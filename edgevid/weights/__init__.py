"""Load existing checkpoints into the networks of the zoo.

Each module defines the ``Format``s of one project: the names of the tensors in its checkpoints. The format of
a checkpoint is detected automatically. To add one, write its rules in a module here and list it in
``FORMATS``:

    STM = Format("STM", ((r"^fc\\.", "classifier."), (r"^layer", "backbone.layer")))

The rules (``re.sub``, in order, each once) produce the names of ``model.state_dict()``; the last layer of a
zoo network is called ``classifier``. Shapes that differ only by axes of length 1 fit: ``(O, I, 1, 1, 1)`` of
a ``Conv3d`` fills a ``Conv2d``, the ``(C, 1, 3)`` of a ``Conv1d`` a weight ``(C, 3)``. The ``convert``
function of a format converts values in another layout; its ``unused`` pattern matches tensors that no network
needs.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn, strided

from edgevid.errors import WeightsError
from edgevid.specs import ModelSpec, Preprocessing
from edgevid.weights import (
    action_net,
    channelnet,
    mmaction2,
    normalization,
    paddlevideo,
    pytorchvideo,
    stm,
    torchvision,
    tsm,
)
from edgevid.weights.fit import backbone_of, layers_of, match_unit_axes, problems_of, training_state_of
from edgevid.weights.formats import Format, recognize
from edgevid.weights.read import read_checkpoint
from edgevid.weights.unwrap import Checkpoint
from edgevid.zoo.action_net.network import Action
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.layers.temporal_pool import TemporalPool

__all__ = ["checkpoint_classes", "load_checkpoint", "load_weights", "preprocessing_of"]

FORMATS = (
    Format("edgevid"),
    tsm.RELEASE,
    tsm.ONLINE_DEMO,
    stm.STM,
    channelnet.FORMAT,
    action_net.ACTION,
    action_net.BN_INCEPTION,
    mmaction2.RESNET,
    mmaction2.MOBILENET_V2,
    pytorchvideo.RESNET,
    pytorchvideo.POOLED_RESNET,
    pytorchvideo.SLOWFAST,
    paddlevideo.RESNET_VD,
    paddlevideo.MOBILENET_V2,
    paddlevideo.LCNET_V2,
    torchvision.RESNET,
    torchvision.MOBILENET_V2,
)
"""The supported formats; of two that fit equally well, the earlier one wins."""

TRAINED_BY = (
    ("TSM", normalization.imagenet, (tsm.RELEASE, tsm.ONLINE_DEMO)),
    ("STM", normalization.imagenet, (stm.STM,)),
    ("ChannelNets", normalization.imagenet_bgr, (channelnet.FORMAT,)),
    ("ACTION-Net", normalization.imagenet, (action_net.ACTION,)),
    ("ACTION-Net", normalization.model_default, (action_net.BN_INCEPTION,)),
    ("MMAction2", normalization.mmaction2, (mmaction2.RESNET, mmaction2.MOBILENET_V2)),
    (
        "pytorchvideo",
        normalization.half,
        (pytorchvideo.RESNET, pytorchvideo.POOLED_RESNET, pytorchvideo.SLOWFAST),
    ),
    (
        "PaddleVideo",
        normalization.imagenet,
        (paddlevideo.RESNET_VD, paddlevideo.MOBILENET_V2, paddlevideo.LCNET_V2),
    ),
    ("torchvision", normalization.imagenet, (torchvision.RESNET, torchvision.MOBILENET_V2)),
)
"""The projects, their input normalization, and the formats that identify them."""

MAX_SHOWN = 3
CLASSIFIER = ("classifier.bias", "classifier.weight")

log = logging.getLogger("edgevid")


def load_weights(
    model: nn.Module,
    path_or_state_dict: str | os.PathLike | Mapping[str, Any],
    ema: bool = False,
    new_classes: bool = False,
) -> nn.Module:
    """Fill ``model`` from a checkpoint file, a folder of shards or a state dict, in any of ``FORMATS``.

    Returns ``model``. Removes training wrappers (``module.``, ``_orig_mod.``, a LightningModule's attribute)
    from the names and ignores the weights of losses and counters; one log line reports it. ``ema`` selects
    the averaged weights of a checkpoint that has both. With ``new_classes`` a checkpoint with other classes
    than the model's initializes its backbone, for a training on another data set.
    An image checkpoint (torchvision's) initializes the backbone: temporal layers keep their values, as does
    the classifier unless the number of classes matches, and a first convolution with input channels other
    than RGB takes the mean over RGB. A network without a classifier takes only the backbone of any
    checkpoint. A warning lists the layers that stay untrained. Raises ``WeightsError`` if the file cannot
    be read or the names do not fit (the message lists the first ones); the model is then unchanged.
    """
    load_checkpoint(model, read_checkpoint(path_or_state_dict), ema, new_classes)
    return model


def load_checkpoint(
    model: nn.Module, checkpoint: Checkpoint, ema: bool = False, new_classes: bool = False
) -> Format:
    """Like ``load_weights``, but returns the format of the checkpoint."""
    expected = model.state_dict()
    state, notes = checkpoint.state(ema, expected)
    for name, tensor in state.items():
        if tensor.is_meta or tensor.is_quantized or tensor.is_complex() or tensor.layout != strided:
            kind = "no values (meta)" if tensor.is_meta else "quantized, sparse or complex values"
            raise WeightsError(
                f"{checkpoint.label} has {kind} in '{name}': save its plain floating-point state_dict()"
            )
    recognized = recognize(FORMATS, state, expected, _is_wrapped_in(model))
    if recognized.rival:
        first, second = recognized.rival
        raise WeightsError(
            f"{checkpoint.label} holds two networks with these names, {first!r} and {second!r}: "
            "save the state_dict() of one"
        )
    format_, names = recognized.format, recognized.names
    used = {source for name, source in names.items() if name in expected}
    ignored = training_state_of(state, used)
    names = {name: source for name, source in names.items() if source not in ignored}
    names |= {source: source for source in recognized.outside if source not in ignored}
    tensors = {name: _converted(format_, name, state[source], expected) for name, source in names.items()}
    backbone_only = new_classes or format_.initializes or not any(name in expected for name in CLASSIFIER)
    if backbone_only:
        tensors = backbone_of(tensors, expected)
    else:
        _check_classes(tensors, expected)
    problems = problems_of(tensors, expected, names, backbone_only)
    if problems:
        raise WeightsError(
            f"these are not the weights of this network: {_first(problems)}. "
            "Choose the model that the checkpoint was trained as ('edgevid list models')"
        )
    if mismatch := format_.mismatch(model):
        raise WeightsError(f"these are not the weights of this network, though their names fit: {mismatch}")
    model.load_state_dict(tensors, strict=False)
    _report(recognized.removed_parts, ignored, notes)
    if untrained := layers_of(expected.keys() - tensors.keys()):
        log.warning("%s fills the backbone; untrained are %s", format_.name, _first(untrained))
    return format_


def preprocessing_of(format_: Format, spec: ModelSpec) -> Preprocessing:
    """The preprocessing of the project whose checkpoints have this format."""
    for project, normalization_of, formats in TRAINED_BY:
        if format_ in formats:
            values = normalization_of(spec)
            return replace(
                spec.preprocessing,
                mean=values.mean,
                std=values.std,
                color=values.color,
                source=f"{project}'s, by the names in the checkpoint",
            )
    return replace(
        spec.preprocessing, source="the model's default, as the names in the checkpoint are its own"
    )


def _report(removed_parts: list[str], ignored: Mapping[str, str], notes: tuple[str, ...]) -> None:
    """Log one line about the changes that made a checkpoint fit, if any."""
    parts = ["removed " + ", ".join(removed_parts)] if removed_parts else []
    if ignored:
        counts = Counter(ignored.values())
        parts.append("ignored " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    if parts or notes:
        log.info("weights: %s", "; ".join((*parts, *notes)))


def _first(items: list[str]) -> str:
    more = f" and {len(items) - MAX_SHOWN} more" if len(items) > MAX_SHOWN else ""
    return "; ".join(items[:MAX_SHOWN]) + more


def checkpoint_classes(state: Mapping[str, Tensor]) -> int | None:
    """The number of classes of a checkpoint's classifier; None for image checkpoints and unknown formats."""
    format_, names, *_ = recognize(FORMATS, state, CLASSIFIER)
    parameters = [state[names[name]] for name in CLASSIFIER if name in names]
    return int(parameters[0].shape[0]) if parameters and not format_.initializes else None


def _is_wrapped_in(model: nn.Module) -> Callable[[str], bool]:
    """A predicate: whether the network shifts or pools the input of a layer (``backbone.layer1.0.conv1``).

    A shift in the residual branch affects the layers of its block, a shift of the whole block affects the
    block.
    """
    layers, blocks = set(), set()
    for name, module in model.named_modules():
        block = name.rpartition(".")[0]
        if isinstance(module, TemporalPool):
            layers.add(f"{block}.layer2")
        elif isinstance(module, (TemporalShift, Action)):
            whole = getattr(model.get_submodule(block), "shifts_shortcut", False)
            layers.add(block) if whole else blocks.add(f"{block}.")
    return lambda layer: layer in layers or any(layer.startswith(block) for block in blocks)


def _converted(format_: Format, name: str, tensor: Tensor, expected: Mapping[str, Tensor]) -> Tensor:
    if name not in expected:
        return tensor
    return match_unit_axes(format_.convert(name, tensor, expected[name]), expected[name])


def _check_classes(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse a classifier that differs only in the number of classes, in either layout."""
    bias, weight = (tensors.get(name) for name in CLASSIFIER)
    own = expected.get(CLASSIFIER[1])
    if weight is None or own is None:
        return
    classes = (weight if bias is None else bias).shape[0]
    if classes != own.shape[0] and sorted(weight.shape) == sorted((classes, *own.shape[1:])):
        raise WeightsError(
            f"the checkpoint has {classes} classes, the network {own.shape[0]}: "
            f"use --classes {classes} (num_classes={classes} in Python)"
        )

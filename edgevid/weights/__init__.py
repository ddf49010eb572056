"""Load existing checkpoints into the networks of the zoo.

One file per project whose checkpoints are read, holding its ``Format``s: what the project calls its tensors.
A checkpoint's format is detected automatically. To add one, write its rules in a file here and name it in
``FORMATS``:

    STM = Format("STM", ((r"^fc\\.", "classifier."), (r"^layer", "backbone.layer")))

The rules (``re.sub``, in order, each once) end at the names of ``model.state_dict()``; the last layer of a
zoo network is called ``classifier``. Shapes that differ by axes of length 1 alone fit: ``(O, I, 1, 1, 1)``
of a ``Conv3d`` fills a ``Conv2d``, the ``(C, 1, 3)`` of a ``Conv1d`` a weight ``(C, 3)``. What is stored in
another way is turned by the format's ``turn``; what the network has no use for is named by its ``unused``.
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
from edgevid.weights.fit import backbone_of, layers_of, left_out_of, problems_of, without_axes_of_one
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
"""Every format that is read; of two that fit equally well, the earlier one is taken."""

TRAINED_BY = (
    ("TSM", normalization.imagenet, (tsm.RELEASE, tsm.ONLINE_DEMO)),
    ("STM", normalization.imagenet, (stm.STM,)),
    ("ChannelNets", normalization.imagenet_bgr, (channelnet.FORMAT,)),
    ("ACTION-Net", normalization.imagenet, (action_net.ACTION,)),
    ("ACTION-Net", normalization.as_the_model, (action_net.BN_INCEPTION,)),
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
"""The projects, what they normalize a network's input with, and the formats that give them away."""

SHOWN = 3
CLASSIFIER = ("classifier.bias", "classifier.weight")

log = logging.getLogger("edgevid")


def load_weights(
    model: nn.Module,
    path_or_state_dict: str | os.PathLike | Mapping[str, Any],
    ema: bool = False,
) -> nn.Module:
    """Fill ``model`` from a checkpoint file, a folder of shards or a state dict, in any of ``FORMATS``.

    Returns ``model``. Training wrappers (``module.``, ``_orig_mod.``, a LightningModule's attribute) are
    stripped and the weights of losses and counters skipped, which one log line reports. ``ema`` selects the
    averaged weights of a checkpoint that has both.
    An image checkpoint (torchvision's) initializes the backbone: temporal layers keep their values, as does
    the classifier unless the number of classes matches, and a first convolution with input channels other
    than RGB takes the mean over RGB. A network without a classifier takes only the backbone of any
    checkpoint. A warning lists the layers that stay untrained. Raises ``WeightsError`` if the file cannot
    be read or the names do not fit (the message has the first of them); the model is then unchanged.
    """
    load_checkpoint(model, read_checkpoint(path_or_state_dict), ema)
    return model


def load_checkpoint(model: nn.Module, checkpoint: Checkpoint, ema: bool = False) -> Format:
    """Like ``load_weights``, but returns the format of the checkpoint."""
    expected = model.state_dict()
    state, notes = checkpoint.state(ema, expected)
    for name, tensor in state.items():
        if tensor.is_meta or tensor.is_quantized or tensor.is_complex() or tensor.layout != strided:
            kind = "no values (meta)" if tensor.is_meta else "quantized, sparse or complex values"
            raise WeightsError(
                f"{checkpoint.what} has {kind} in '{name}': save its plain floating-point state_dict()"
            )
    recognized = recognize(FORMATS, state, expected, _is_wrapped_in(model))
    if recognized.rival:
        one, other = recognized.rival
        raise WeightsError(
            f"{checkpoint.what} holds two networks of these names, {one!r} and {other!r}: "
            "save the state_dict() of one"
        )
    form, names = recognized.format, recognized.names
    left_out = left_out_of(state, {name for ours, name in names.items() if ours in expected})
    names = {ours: theirs for ours, theirs in names.items() if theirs not in left_out}
    names |= {theirs: theirs for theirs in recognized.outside if theirs not in left_out}
    tensors = {name: _turned(form, name, state[theirs], expected) for name, theirs in names.items()}
    backbone_only = form.initializes or not any(name in expected for name in CLASSIFIER)
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
    if misfit := form.misfit(model):
        raise WeightsError(f"these are not the weights of this network, though their names fit: {misfit}")
    model.load_state_dict(tensors, strict=False)
    _report(recognized.taken_off, left_out, notes)
    if untrained := layers_of(expected.keys() - tensors.keys()):
        log.warning("%s fills the backbone; untrained are %s", form.name, _first(untrained))
    return form


def preprocessing_of(form: Format, spec: ModelSpec) -> Preprocessing:
    """What the network's input is made with, by who trained a checkpoint of this format."""
    for project, normalization_of, formats in TRAINED_BY:
        if form in formats:
            chosen = normalization_of(spec)
            return replace(
                spec.preprocessing,
                mean=chosen.mean,
                std=chosen.std,
                color=chosen.color,
                source=f"{project}'s, by the names in the checkpoint",
            )
    return replace(
        spec.preprocessing, source="the model's default, as the names in the checkpoint are its own"
    )


def _report(taken_off: list[str], left_out: Mapping[str, str], notes: tuple[str, ...]) -> None:
    """Log one line about the changes that made a checkpoint fit, if there were any."""
    parts = ["took off " + ", ".join(taken_off)] if taken_off else []
    if left_out:
        counts = Counter(left_out.values())
        parts.append("left out " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    if parts or notes:
        log.info("weights: %s", "; ".join((*parts, *notes)))


def _first(things: list[str]) -> str:
    more = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return "; ".join(things[:SHOWN]) + more


def checkpoint_classes(state: Mapping[str, Tensor]) -> int | None:
    """The number of classes of a checkpoint's classifier; None for image checkpoints and unknown formats."""
    form, names, *_ = recognize(FORMATS, state, CLASSIFIER)
    parameters = [state[names[name]] for name in CLASSIFIER if name in names]
    return int(parameters[0].shape[0]) if parameters and not form.initializes else None


def _is_wrapped_in(model: nn.Module) -> Callable[[str], bool]:
    """Tells of a layer such as ``backbone.layer1.0.conv1`` whether the network shifts or pools what it reads.

    A shift in the residual branch concerns the layers of its block; a shift of the whole block, the block.
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


def _turned(form: Format, name: str, tensor: Tensor, expected: Mapping[str, Tensor]) -> Tensor:
    if name not in expected:
        return tensor
    return without_axes_of_one(form.turn(name, tensor, expected[name]), expected[name])


def _check_classes(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse a classifier that differs by the number of classes alone, whichever way round it is stored."""
    bias, weight = (tensors.get(name) for name in CLASSIFIER)
    ours = expected.get(CLASSIFIER[1])
    if weight is None or ours is None:
        return
    classes = (weight if bias is None else bias).shape[0]
    if classes != ours.shape[0] and sorted(weight.shape) == sorted((classes, *ours.shape[1:])):
        raise WeightsError(
            f"the checkpoint has {classes} classes, the network {ours.shape[0]}: "
            f"use --classes {classes} (num_classes={classes} in Python)"
        )

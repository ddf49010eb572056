"""The network of a request, with its weights, and what its input is made with."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from edgevid.exporter.request import SEED, Request
from edgevid.specs import Preprocessing
from edgevid.weights import checkpoint_classes, load_checkpoint, preprocessing_of
from edgevid.weights.read import digest_of, read_checkpoint
from edgevid.zoo.create import create_model

log = logging.getLogger("edgevid")


def build(request: Request) -> tuple[torch.nn.Module, dict[str, str], Preprocessing]:
    """The network with its weights, where they came from, and what its input is made with."""
    network, source, preprocessing = _build(request)
    return network, source, request.normalization.apply(preprocessing)


def _build(request: Request) -> tuple[torch.nn.Module, dict[str, str], Preprocessing]:
    default = request.spec.preprocessing
    if request.weights is None:
        network = request.network
        if network is not None:
            default = replace(default, source="the default, as nobody said what the network was trained on")
            return network, {"source": "as the network was given"}, default
        log.warning("no --weights: %s gets random weights (seed %d)", request.spec.name, SEED)
        default = replace(default, source="the model's default, as its weights are random")
        return _create(request, request.classes), {"source": f"random (seed {SEED})"}, default
    checkpoint = read_checkpoint(request.weights)
    network = request.network
    if network is None:
        network = _create(request, request.classes or checkpoint_classes(checkpoint.state().tensors))
    preprocessing = preprocessing_of(load_checkpoint(network, checkpoint, request.ema), request.spec)
    source = {"source": request.weights.name, "sha256": digest_of(request.weights)}
    return network, source, preprocessing


def _create(request: Request, classes: int | None) -> torch.nn.Module:
    torch.manual_seed(SEED)
    return create_model(request.spec.name, num_classes=classes, frames=request.frames)

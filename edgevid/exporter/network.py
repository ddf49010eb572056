"""The network of a request: its module, its weights and its preprocessing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from edgevid.exporter.request import SEED, Request
from edgevid.specs import Preprocessing, Weights
from edgevid.weights import checkpoint_classes, load_checkpoint, preprocessing_of
from edgevid.weights.read import digest_of
from edgevid.zoo.create import create_model

log = logging.getLogger("edgevid")


@dataclass(frozen=True)
class Network:
    """``module`` with its weights; ``source`` and ``sha256`` identify where they came from."""

    module: torch.nn.Module
    preprocessing: Preprocessing
    source: str
    sha256: str = ""

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    def weights(self, size_bytes: int) -> Weights:
        """The manifest's record; ``size_bytes`` is the size of the weights in the graph."""
        return Weights(self.source, self.parameters, size_bytes, self.sha256)


def build_network(request: Request) -> Network:
    """Raises ``WeightsError`` if the checkpoint belongs to another network."""
    network = _build(request)
    return replace(network, preprocessing=request.normalization.apply(network.preprocessing))


def _build(request: Request) -> Network:
    default, options = request.spec.preprocessing, request.options
    if options.weights is None:
        if request.network is not None:
            default = replace(
                default, source="the default, as no checkpoint says how the network was trained"
            )
            return Network(request.network, default, "the module's own")
        log.warning("no --weights: %s gets random weights (seed %d)", request.spec.name, SEED)
        default = replace(default, source="the model's default, as its weights are random")
        return Network(_create(request, options.classes), default, f"random (seed {SEED})")
    path, checkpoint, module = Path(options.weights), request.checkpoint, request.network
    assert checkpoint is not None  # it was read with the options
    if module is None:
        module = _create(request, options.classes or checkpoint_classes(checkpoint.state().tensors))
    preprocessing = preprocessing_of(load_checkpoint(module, checkpoint, options.ema), request.spec)
    if request.trained is not None:
        preprocessing = replace(request.spec.preprocessing, source="as it was trained")
    return Network(module, preprocessing, path.name, digest_of(path))


def _create(request: Request, classes: int | None) -> torch.nn.Module:
    torch.manual_seed(SEED)
    options = request.trained.options if request.trained else {}
    return create_model(request.spec.name, num_classes=classes, frames=request.frames, **options)

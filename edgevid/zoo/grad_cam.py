"""Grad-CAM (Selvaraju et al., 2017) and feature maps of any layer, with PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.specs.registry import check_choice

FRAME_BATCH, VOLUME = 4, 5


@dataclass(frozen=True)
class GradCam:
    """``maps``: float32 ``(steps, h, w)``, not negative, of the layer's steps in time."""

    maps: np.ndarray
    logits: np.ndarray
    class_index: int
    layer: str


def grad_cam(
    network: nn.Module, clip: np.ndarray, class_index: int | None = None, layer: str | None = None
) -> GradCam:
    """Of the best class and the last layer with a feature map, unless others are named.

    ``clip`` is float32 ``(1, T, 3, H, W)``, or ``(T, 3, H, W)`` for an image classifier. Each channel of the
    layer weighs as much as its mean gradient in that frame. Raises ``EdgevidError`` for a layer without a
    feature map, with the names of others.
    """
    layers = _layers_with_maps(network, clip)
    layer = layer or layers[-1]
    _check(layer, layers)
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()  # the next layer may work in place

    with _hooked({layer: keep}, network), torch.enable_grad():
        logits = network(torch.from_numpy(clip.copy())).mean(0)  # of images, over the frames
        shown = int(logits.argmax()) if class_index is None else class_index
        (gradient,) = torch.autograd.grad(logits[shown], kept[-1])
    features, gradient = _by_frame(kept[-1].detach()), _by_frame(gradient)
    maps = torch.relu((features * gradient.mean((2, 3), keepdim=True)).sum(1))
    return GradCam(maps.numpy(), logits.detach().numpy(), shown, layer)


def feature_maps(network: nn.Module, clip: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """The output of each of ``layers``, float32 ``(steps, C, h, w)``."""
    known = _layers_with_maps(network, clip)
    for layer in layers:
        _check(layer, known)
    kept: dict[str, torch.Tensor] = {}

    def keeping(layer: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            kept[layer] = output.detach().clone()

        return keep

    with _hooked({layer: keeping(layer) for layer in layers}, network), torch.no_grad():
        network(torch.from_numpy(clip.copy()))
    return {layer: _by_frame(kept[layer]).numpy() for layer in layers}


def _layers_with_maps(network: nn.Module, clip: np.ndarray) -> list[str]:
    """The layers whose output is a feature map of more than one position, in the order in which they end."""
    found: dict[str, None] = {}

    def noting(layer: str) -> Any:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            is_map = isinstance(output, torch.Tensor) and output.ndim in (FRAME_BATCH, VOLUME)
            if is_map and output.shape[-1] * output.shape[-2] > 1:
                found.pop(layer, None)
                found[layer] = None

        return note

    names = [name for name, _ in network.named_modules() if name]
    with _hooked({name: noting(name) for name in names}, network), torch.no_grad():
        network(torch.from_numpy(clip.copy()))
    if not found:
        raise EdgevidError("no layer of the network returns a feature map, so there is nothing to show")
    return list(found)


def _check(layer: str, known: Sequence[str]) -> None:
    check_choice("layer", layer, known, f"the last ones with a feature map are {', '.join(known[-5:])}")


@contextmanager
def _hooked(hooks: dict[str, Any], network: nn.Module) -> Iterator[None]:
    handles = [network.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _by_frame(features: torch.Tensor) -> torch.Tensor:
    """``(frames, C, h, w)`` as it is, ``(1, C, frames, h, w)`` with the frames first."""
    return features[0].transpose(0, 1) if features.ndim == VOLUME else features

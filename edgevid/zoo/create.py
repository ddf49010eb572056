"""Build a network by its name."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo import MODELS


def create_model(name: str, num_classes: int = 400, frames: int = 8, **options: Any) -> nn.Module:
    """The network ``name`` of ``edgevid list models``, with random weights and in training mode.

    ``forward(clip)`` takes float32 ``(N, T, 3, H, W)`` and returns logits ``(N, num_classes)``; ``frames`` is
    the T that it is made for; ``edgevid_spec`` is its entry in the list. ``options`` are those of the
    family's builder, such as ``shift_div``. Raises ``UnknownNameError`` for a name that is not in the list,
    ``EdgevidError`` for impossible sizes.
    """
    spec = MODELS[name]
    if num_classes < 1 or frames < 1:
        raise EdgevidError(f"{name} needs at least one class and one frame, not {num_classes} and {frames}")
    module, _, function = spec.builder.partition(":")
    build = getattr(importlib.import_module(module), function)
    network = build(num_classes=num_classes, frames=frames, **{**spec.options, **options})
    network.edgevid_spec = spec
    return network

"""Creates a network by name."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo import MODELS


def create_model(
    name: str, num_classes: int | None = None, frames: int | None = None, **options: Any
) -> nn.Module:
    """The network ``name`` of ``edgevid list models``, with random weights and in training mode.

    ``forward(clip)`` takes float32 ``(N, T, 3, H, W)`` and returns logits ``(N, num_classes)``; ``frames`` is
    T. The attribute ``edgevid_spec`` is the network's ``ModelSpec``, which defines other kinds of input, and
    the defaults of ``num_classes`` (mostly 400) and ``frames`` (mostly 8). Networks without a classifier
    ignore ``num_classes``, image classifiers ignore ``frames``. ``options`` are passed to the family's
    builder, such as ``shift_div`` or ``width``. Raises ``UnknownNameError`` for an unknown name,
    ``EdgevidError`` for invalid sizes and for an option that the family does not have.
    """
    spec = MODELS[name]
    num_classes = spec.classes if num_classes is None else num_classes
    frames = spec.frames if frames is None else frames
    if (spec.classes and num_classes < 1) or frames < 1:
        raise EdgevidError(f"{name} needs at least one class and one frame, not {num_classes} and {frames}")
    sizes = {"num_classes": num_classes} if spec.classes else {}
    if spec.input == "clip":
        sizes["frames"] = frames
    module, _, function = spec.builder.partition(":")
    build = getattr(importlib.import_module(module), function)
    parameters = inspect.signature(build).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if option not in parameters and not takes_any:
            raise EdgevidError(f"{name} has no option {option}: leave it out, or choose another network")
    network = build(**sizes, **{**spec.options, **options})
    network.edgevid_spec = spec
    return network

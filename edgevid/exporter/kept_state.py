"""Detect networks that keep activations between calls, such as stream buffers, and name the module."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from edgevid.errors import ExportError

REMEDY = (
    "let forward clear them at its beginning and end (MoViNet: clean_activation_buffers()), so that its "
    "output depends on the clip alone; for a stream, let frame_logits(clip) do the same for each frame, and "
    "--stream turns the padding in front into states"
)

_OF_MODULES = frozenset(torch.nn.Module().__dict__) - {"_buffers"}


class KeptState:
    """A snapshot of the tensors that a network's modules hold, other than parameters."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network
        self._before = _tensors(network)

    def changed(self) -> str:
        """The first tensor replaced or written since the snapshot, ``'block.activation'``; else empty."""
        now = _tensors(self._network)
        for place, tensors in now.items():
            if tensors != self._before.get(place):
                return place
        return ""


def check_forgets(state: KeptState, name: str, result: Any, again: Callable[[], Any]) -> None:
    """``ExportError`` if the first call left a tensor that changes the result of the same call, ``again``.

    Caches such as a table of positions are harmless.
    """
    place = state.changed()
    if not place:
        return
    if not _same(result, again()):
        raise ExportError(
            f"{name} returns a different output each time for the same input: it keeps activations between "
            f"calls, in {place}; {REMEDY}"
        )


class _Tensor:
    """Compares by identity and version counter; it keeps the tensor alive, so that its id is not reused."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor, self._version = tensor, tensor._version

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Tensor) and self._tensor is other._tensor
        return same and self._version == other._version

    def __hash__(self) -> int:
        return id(self._tensor)


def _tensors(network: torch.nn.Module) -> dict[str, tuple]:
    places: dict[str, tuple] = {}
    for path, module in network.named_modules():
        attributes = {name: value for name, value in module.__dict__.items() if name not in _OF_MODULES}
        buffers = attributes.pop("_buffers")
        for name, value in {**attributes, **buffers}.items():
            place = f"{path}.{name}" if path else name
            if parts := _parts(value):
                places[f"its buffer '{place}'" if name in buffers else f"'{place}'"] = parts
    return places


def _parts(value: Any) -> tuple:
    """The tensors in an attribute that is a tensor or a list, tuple, deque or dict of them."""
    parts = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list, tuple, deque)):
        parts = [value]
    return tuple(_Tensor(part) for part in parts if isinstance(part, torch.Tensor))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(_same(one[key], other.get(key)) for key in one)
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.shape == other.shape and torch.equal(one, other)
    return True

"""Networks that keep activations between calls, such as stream buffers: which module does, and where."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from edgevid.errors import ExportError

WHAT_TO_DO = (
    "let forward begin and end with what makes it forget them (MoViNet's clean_activation_buffers()), "
    "so that a clip alone decides; for a stream, let frame_logits answer each frame of a clip likewise, and "
    "--stream makes states of what it pads in front"
)

_OF_MODULES = frozenset(torch.nn.Module().__dict__) - {"_buffers"}


class KeptState:
    """What the modules of a network hold beside their parameters, at the time that this is made."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network
        self._before = _held(network)

    def changed(self) -> str:
        """The first tensor that was replaced or written since, ``'block.activation'``; or nothing."""
        now = _held(self._network)
        for place, held in now.items():
            if held != self._before.get(place):
                return place
        return ""


def check_forgets(kept: KeptState, name: str, answer: Any, again: Callable[[], Any]) -> None:
    """``ExportError`` if the first call left a tensor behind that changes what ``again``, the same, answers.

    What a call only keeps to save time, as a table of positions, does no harm.
    """
    place = kept.changed()
    if not place:
        return
    if not _same(answer, again()):
        raise ExportError(
            f"{name} gives another output each time for the same input: it keeps activations from one call "
            f"to the next, in {place}; {WHAT_TO_DO}"
        )


class _Tensor:
    """Compares by identity and by how often it was written; while it is held, no other takes its place."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor, self._version = tensor, tensor._version

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Tensor) and self._tensor is other._tensor
        return same and self._version == other._version

    def __hash__(self) -> int:
        return id(self._tensor)


def _held(network: torch.nn.Module) -> dict[str, tuple]:
    places: dict[str, tuple] = {}
    for path, module in network.named_modules():
        own = {name: value for name, value in module.__dict__.items() if name not in _OF_MODULES}
        buffers = own.pop("_buffers")
        for name, value in {**own, **buffers}.items():
            place = f"{path}.{name}" if path else name
            if parts := _parts(value):
                places[f"its buffer '{place}'" if name in buffers else f"'{place}'"] = parts
    return places


def _parts(value: Any) -> tuple:
    """The tensors in an attribute, or in a list, tuple, deque or dict that it is."""
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

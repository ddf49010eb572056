"""Extracts one flat dictionary of tensors from a checkpoint: the trained weights or their average.

``prefixes`` then removes wrappers from the names of the tensors, which requires the network's own names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from edgevid.errors import WeightsError

STATE_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params"),
    *("weights", "net_state_dict", "network_state_dict", "model_weights", "state", "student"),
)
EMA_KEYS = (
    *("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "model_ema_state_dict"),
    *("ema_model_state_dict", "model_state_dict_ema", "model_state_ema", "ema_weights", "ema_params"),
    *("params_ema", "averaged_model", "avg_model", "swa_model", "swa_state_dict", "shadow"),
)
"""The keys under which training scripts store the weights, and their exponential moving average."""

EMA_WORDS = frozenset(EMA_KEYS) | {"ema_net", "ema_network"}
"""Parts of tensor names that mark an average: ``model_ema.backbone.conv1.weight``."""

EMA_MARK = "ema_"
"""The prefix that MMCV's hook adds to the flattened name of a buffer: ``ema_backbone_conv1_weight``."""

EMA_COUNTERS = frozenset({"decay", "num_updates", "n_averaged", "initted", "step", "steps", "updates"})
NOT_WEIGHTS = ("optim", "sched", "scaler", "amp", "callback", "loop", "rng", "param", "loss", "metric")
MAX_DEPTH = 3


class State(NamedTuple):
    """The tensors of a state dict by name; ``notes`` describe, for the log, which weights were chosen."""

    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint; ``label`` is its name in errors."""

    content: Any
    label: str = "the checkpoint"

    def state(self, ema: bool = False, own: Collection[str] = ()) -> State:
        """The state dict in the checkpoint, with ``ema`` the averaged one.

        ``own`` are the network's tensor names, which are never treated as averages. Raises ``WeightsError``.
        """
        return unwrap(self.content, self.label, ema, own)


def unwrap(content: Any, label: str, ema: bool = False, own: Collection[str] = ()) -> State:
    """See ``Checkpoint.state``."""
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{label} holds a {type(content).__name__}, not a state dict: save model.state_dict()"
        )
    notes: list[str] = []
    plain = _under(content, STATE_KEYS)
    averaged = _under(content, EMA_KEYS) or _callback_averages(content)
    if plain is None and averaged is None:
        plain = _tensors_of(content) or _only_state_dict(content, label, notes)
    if averaged is not None and plain is None and (top_level := _tensors_of(content)):
        plain = top_level
    plain, averaged = plain or {}, averaged or {}
    if not plain and not averaged:
        raise WeightsError(f"{label} holds no tensors: save model.state_dict()")
    if not averaged:
        plain, averaged = _split_averages(plain, set(own))
    if ema and not averaged:
        raise WeightsError(f"{label} holds no averaged weights (EMA): leave out --ema (ema=True in Python)")
    if not averaged:
        return State(plain, tuple(notes))
    if not ema and any(tensor.is_floating_point() for tensor in plain.values()):
        notes.append("used the trained weights, not their average (EMA), which --ema selects")
        return State(plain, tuple(notes))
    notes.append("used the averaged weights (EMA)" + (", as there are no others" if not plain else ""))
    return State(_completed(averaged, plain, label), tuple(notes))


def _tensors_of(content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(value.copy())
        if isinstance(name, str) and isinstance(value, torch.Tensor):
            tensors[name] = value
    return tensors


def _under(content: Mapping[str, Any], keys: Iterable[str], depth: int = 0) -> dict[str, torch.Tensor] | None:
    """The tensors under the first of ``keys`` that has any, possibly nested."""
    for key in keys:
        value = content.get(key)
        if not isinstance(value, Mapping):
            continue
        nested = _under(value, (*STATE_KEYS, *EMA_KEYS), depth + 1) if depth < MAX_DEPTH else None
        if tensors := nested or _tensors_of(value):
            return tensors
    return None


def _callback_averages(content: Mapping[str, Any]) -> dict[str, torch.Tensor] | None:
    """The averages in the state of a Lightning callback."""
    callbacks = content.get("callbacks")
    states = callbacks.values() if isinstance(callbacks, Mapping) else ()
    return next(
        (tensors for state in states if isinstance(state, Mapping) and (tensors := _under(state, EMA_KEYS))),
        None,
    )


def _only_state_dict(content: Mapping[str, Any], label: str, notes: list[str]) -> dict[str, torch.Tensor]:
    """The only state dict, under an unusual key."""
    candidates = {
        key: tensors
        for key, value in content.items()
        if isinstance(value, Mapping)
        and not any(word in str(key).lower() for word in NOT_WEIGHTS)
        and (tensors := _under(value, (*STATE_KEYS, *EMA_KEYS), 1) or _tensors_of(value))
    }
    if len(candidates) > 1:
        raise WeightsError(
            f"{label} holds several state dicts ({', '.join(map(repr, candidates))}): save only the network's"
        )
    for key, tensors in candidates.items():
        notes.append(f"used the state dict {key!r}")
        return tensors
    return {}


def _split_averages(tensors: dict[str, torch.Tensor], own: set[str]) -> tuple[dict, dict]:
    """Split tensors into trained ones and averages by name; the names of averages lose their mark."""
    plain, averaged = {}, {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        if any(".".join(parts[start:]) in own for start in range(min(len(parts), MAX_DEPTH))) and not (
            parts[0] in EMA_WORDS and name not in own
        ):
            plain[name] = tensor
            continue
        mark = next((index for index, part in enumerate(parts[:2]) if part in EMA_WORDS), None)
        if mark is not None and len(parts) > mark + 1:
            averaged[".".join(parts[mark + 1 :])] = tensor
        elif parts[-1].startswith(EMA_MARK):
            averaged[".".join([*parts[:-1], parts[-1].removeprefix(EMA_MARK)])] = tensor
        elif name not in EMA_COUNTERS:
            plain[name] = tensor
    return plain, averaged


def _completed(averaged: dict, plain: dict, label: str) -> dict[str, torch.Tensor]:
    """The averages by the network's names, completed by the trained tensors without one (statistics).

    Averages are stored by full names or by flat ones: ``backbone_conv1_weight``, ``backboneconv1weight``.
    """
    averaged = {name: tensor for name, tensor in averaged.items() if name not in EMA_COUNTERS}
    places: dict[str, list[str]] = {}
    for name in plain:
        parts = name.split(".")
        for start in range(len(parts)):
            rest = parts[start:]
            for flat in (".".join(rest), "_".join(rest), "".join(rest)):
                places.setdefault(flat, name)
    if not all(name in places for name in averaged):
        if any("." in name for name in averaged):
            return averaged  # a complete network, with other names
        missing = next(name for name in averaged if name not in places)
        raise WeightsError(f"{label} holds an average '{missing}' without a trained tensor: leave out --ema")
    return plain | {places[name]: tensor for name, tensor in averaged.items()}

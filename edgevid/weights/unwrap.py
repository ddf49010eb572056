"""From what a checkpoint holds to one flat dictionary of tensors: which state dict in it, and which average.

``prefixes`` strips wrappers from the names of the tensors, because that takes the network's own names.
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
"""Where trainings put the weights, and their exponential moving average."""

EMA_WORDS = frozenset(EMA_KEYS) | {"ema_net", "ema_network"}
"""The same as a part of a tensor's name: ``model_ema.backbone.conv1.weight``."""

EMA_MARK = "ema_"
"""What MMCV's hook puts before the flattened name of a buffer: ``ema_backbone_conv1_weight``."""

EMA_COUNTERS = frozenset({"decay", "num_updates", "n_averaged", "initted", "step", "steps", "updates"})
NOT_WEIGHTS = ("optim", "sched", "scaler", "amp", "callback", "loop", "rng", "param", "loss", "metric")
DEEPEST = 3


class State(NamedTuple):
    """The tensors of a state dict by the names that stand in it; ``notes`` say in words what was chosen."""

    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds; ``what`` names it in errors."""

    content: Any
    what: str = "the checkpoint"

    def state(self, ema: bool = False, own: Collection[str] = ()) -> State:
        """The state dict in it, with ``ema`` the averaged one.

        ``own`` are the network's names, which are no averages even if they are called so. Raises
        ``WeightsError``.
        """
        return unwrap(self.content, self.what, ema, own)


def unwrap(content: Any, what: str, ema: bool = False, own: Collection[str] = ()) -> State:
    """As ``Checkpoint.state``."""
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{what} holds a {type(content).__name__}, not a state dict: save model.state_dict()"
        )
    notes: list[str] = []
    plain = _under(content, STATE_KEYS)
    averaged = _under(content, EMA_KEYS) or _of_callbacks(content)
    if plain is None and averaged is None:
        plain = _tensors_of(content) or _only_state_dict(content, what, notes)
    if averaged is not None and plain is None and (beside := _tensors_of(content)):
        plain = beside
    plain, averaged = plain or {}, averaged or {}
    if not plain and not averaged:
        raise WeightsError(f"{what} holds no tensors: save model.state_dict()")
    if not averaged:
        plain, averaged = _split_averages(plain, set(own))
    if ema and not averaged:
        raise WeightsError(f"{what} holds no averaged weights (EMA): leave out --ema (ema=True in Python)")
    if not averaged:
        return State(plain, tuple(notes))
    if not ema and any(tensor.is_floating_point() for tensor in plain.values()):
        notes.append("took the trained weights, not their average (EMA), which --ema takes")
        return State(plain, tuple(notes))
    notes.append("took the averaged weights (EMA)" + (", as there are no others" if not plain else ""))
    return State(_filled(averaged, plain, what), tuple(notes))


def _tensors_of(content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(value.copy())
        if isinstance(name, str) and isinstance(value, torch.Tensor):
            tensors[name] = value
    return tensors


def _under(content: Mapping[str, Any], keys: Iterable[str], depth: int = 0) -> dict[str, torch.Tensor] | None:
    """The tensors under the first of ``keys`` that has any, perhaps wrapped once more."""
    for key in keys:
        value = content.get(key)
        if not isinstance(value, Mapping):
            continue
        nested = _under(value, (*STATE_KEYS, *EMA_KEYS), depth + 1) if depth < DEEPEST else None
        if tensors := nested or _tensors_of(value):
            return tensors
    return None


def _of_callbacks(content: Mapping[str, Any]) -> dict[str, torch.Tensor] | None:
    """The averages that one of Lightning's callbacks keeps."""
    callbacks = content.get("callbacks")
    states = callbacks.values() if isinstance(callbacks, Mapping) else ()
    return next(
        (tensors for state in states if isinstance(state, Mapping) and (tensors := _under(state, EMA_KEYS))),
        None,
    )


def _only_state_dict(content: Mapping[str, Any], what: str, notes: list[str]) -> dict[str, torch.Tensor]:
    """The one state dict under a key that is not usual."""
    candidates = {
        key: tensors
        for key, value in content.items()
        if isinstance(value, Mapping)
        and not any(word in str(key).lower() for word in NOT_WEIGHTS)
        and (tensors := _under(value, (*STATE_KEYS, *EMA_KEYS), 1) or _tensors_of(value))
    }
    if len(candidates) > 1:
        raise WeightsError(
            f"{what} holds several state dicts ({', '.join(map(repr, candidates))}): save the network's alone"
        )
    for key, tensors in candidates.items():
        notes.append(f"took what is under {key!r}")
        return tensors
    return {}


def _split_averages(tensors: dict[str, torch.Tensor], own: set[str]) -> tuple[dict, dict]:
    """What is an average by its name, without the part that says so, apart from the rest."""
    plain, averaged = {}, {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        if any(".".join(parts[start:]) in own for start in range(min(len(parts), DEEPEST))) and not (
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


def _filled(averaged: dict, plain: dict, what: str) -> dict[str, torch.Tensor]:
    """The averages by the names of the network, and what is not averaged (statistics) as it was trained.

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
            return averaged  # a whole network of its own, such as one that began from other names
        missing = next(name for name in averaged if name not in places)
        raise WeightsError(f"{what} holds an average '{missing}' of no tensor that it has: leave out --ema")
    return plain | {places[name]: tensor for name, tensor in averaged.items()}

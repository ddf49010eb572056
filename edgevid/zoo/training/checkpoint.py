"""Checkpoints of a training: ``checkpoint.pt``, the weights to use, and ``last.pt``, what ``--resume`` needs.

Random numbers are no part of them: each epoch seeds its own from the training's seed and its number.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgevid.errors import WeightsError
from edgevid.zoo.create import create_model
from edgevid.zoo.training.recipe import Recipe
from edgevid.zoo.training.trained import KEY, Trained, trained_of

KEPT, LAST = "checkpoint.pt", "last.pt"

NOT_A_CHECKPOINT = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError)
"""What PyTorch raises for a file of another kind."""


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch: mean losses, accuracies from 0 to 1, and the last learning rate."""

    number: int
    rate: float
    loss: float
    accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Run:
    """What must be the same for a training to continue.

    ``weights`` and ``teacher`` are the names of the files that it starts from and learns from, if any.
    """

    trained: Trained
    recipe: Recipe
    seed: int
    weights: str | None = None
    teacher: str | None = None

    def as_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class State:
    """A training after its last whole epoch."""

    network: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    epochs: tuple[Epoch, ...]


def network_bytes(network: nn.Module, trained: Trained) -> bytes:
    """What ``edgevid export --weights`` reads."""
    return _bytes({"state_dict": network.state_dict(), KEY: trained.as_json()})


def state_bytes(
    network: nn.Module, optimizer: torch.optim.Optimizer, run: Run, epochs: Sequence[Epoch]
) -> bytes:
    return _bytes(
        {
            "state_dict": network.state_dict(),
            KEY: run.trained.as_json(),
            "optimizer": optimizer.state_dict(),
            "run": run.as_json(),
            "epochs": [asdict(epoch) for epoch in epochs],
        }
    )


def read_state(path: Path, run: Run) -> State:
    """Raises ``WeightsError`` if the file belongs to a training with other settings."""
    content = _read(path)
    try:
        before, now = json.loads(content["run"]), json.loads(run.as_json())
        epochs = tuple(Epoch(**epoch) for epoch in content["epochs"])
        state = State(content["state_dict"], content["optimizer"], epochs)
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"'{path}' is no state of a training: leave out --resume") from None
    if before != now:
        changed = ", ".join(_differences(before, now))
        raise WeightsError(
            f"'{path}' was trained with other settings ({changed}): repeat the command that started it, with "
            "--resume, or choose another folder with --output"
        )
    return state


def load_network(path: Path) -> tuple[nn.Module, Trained]:
    """The network of a checkpoint, in evaluation mode."""
    content = _read(path)
    try:
        trained = trained_of(content)
    except ValueError as error:
        raise WeightsError(f"'{path}': {error}; it is damaged: train again") from None
    if trained is None:
        raise WeightsError(
            f"'{path}' does not say which network it belongs to: pass a checkpoint of 'edgevid train'"
        )
    network = create_model(trained.model, len(trained.classes), trained.frames, **trained.options)
    try:
        network.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError, TypeError):
        raise WeightsError(f"'{path}' does not hold the weights of {trained.model}: train again") from None
    return network.eval(), trained


def _bytes(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"'{path}' does not exist: check the path") from None
    except IsADirectoryError:
        raise WeightsError(f"'{path}' is a folder: pass the checkpoint file in it") from None
    except NOT_A_CHECKPOINT:
        raise WeightsError(f"'{path}' is not a checkpoint, or is damaged: choose another file") from None
    return content if isinstance(content, dict) else {}


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    """``epochs 50, not 60`` for each value that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [text for key in keys for text in _differences(before.get(key), now.get(key), key)]
    return [] if before == now else [f"{name} {before}, not {now}"]

"""Reading a checkpoint file, or unwrapping what it holds, into a flat dictionary of tensors."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgevid.errors import WeightsError
from edgevid.weights.pickled import NotArraysError, read_arrays

PADDLE = ".pdparams"
DAMAGE = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    OSError,
    UnicodeDecodeError,
    TypeError,
    AttributeError,
)
"""What readers raise at bytes that are no checkpoint."""

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")


def read_state_dict(source: str | os.PathLike | Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint file or of a mapping, which may wrap them as ``{"state_dict": ...}``.

    PyTorch's files are read with ``weights_only``, Paddle's (``.pdparams``) by a reader of arrays alone: a
    checkpoint cannot run code. Raises ``WeightsError``.
    """
    content = source if isinstance(source, Mapping) else _read_file(Path(source))
    what = "the checkpoint" if isinstance(source, Mapping) else f"'{source}'"
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{what} holds a {type(content).__name__}, not a state dict: save model.state_dict()"
        )
    tensors = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{what} holds no tensors: save model.state_dict()")
    return tensors


def _read_file(path: Path) -> Any:
    if path.is_dir():
        raise WeightsError(f"weights '{path}' is a folder: give the checkpoint file in it")
    if not path.exists():
        raise WeightsError(f"weights file '{path}' does not exist: check the path")
    try:
        if path.suffix == PADDLE:
            return read_arrays(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise WeightsError(f"weights file '{path}' may not be read: check its permissions") from None
    except NotArraysError as error:
        raise WeightsError(
            f"'{path}' holds Python objects besides arrays ({error}), which are not loaded for safety: "
            "save its state_dict() alone with paddle.save"
        ) from None
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Unsupported global" in str(error):
            raise WeightsError(
                f"'{path}' holds Python objects besides tensors, which are not loaded for safety, "
                "or is not a PyTorch checkpoint: save its state_dict() alone with torch.save"
            ) from None
        raise _corrupt(path) from None
    except DAMAGE:
        raise _corrupt(path) from None


def _corrupt(path: Path) -> WeightsError:
    kind = "Paddle" if path.suffix == PADDLE else "PyTorch"
    return WeightsError(f"'{path}' is not a {kind} checkpoint, or is damaged: download or save it again")

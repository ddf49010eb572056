"""Reads checkpoint files: PyTorch's, Paddle's, safetensors, and sharded ones with an index."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgevid.errors import WeightsError
from edgevid.host.digest import sha256_of
from edgevid.weights.pickled import NotArraysError, read_arrays
from edgevid.weights.safe_types import allowing_inert_types
from edgevid.weights.unwrap import Checkpoint

PADDLE = ".pdparams"
SAFETENSORS = ".safetensors"
INDEX = ".index.json"
"""The suffix of an index, which maps each tensor to one of several files."""

IN_A_FOLDER = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
"""The files to look for in a folder, in order: the names that Hugging Face's libraries write."""

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
"""The errors that readers raise for files that are not checkpoints."""


def read_checkpoint(source: str | os.PathLike | Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint file, the files of a folder or of an index, or a mapping.

    PyTorch's files are read with ``weights_only``, Paddle's (``.pdparams``) by a reader that accepts only
    arrays: a checkpoint cannot run code. Raises ``WeightsError``.
    """
    if isinstance(source, Mapping):
        return Checkpoint(source)
    files = files_of(Path(source))
    if len(files) == 1:
        return Checkpoint(_read_file(files[0]), f"'{source}'")
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        tensors |= Checkpoint(_read_file(file), f"'{file}'").state().tensors
    return Checkpoint(tensors, f"'{source}'")


def files_of(path: Path) -> list[Path]:
    """The files that hold the tensors: ``path`` itself, or those listed in a folder's index."""
    if path.is_dir():
        within = next((path / name for name in IN_A_FOLDER if (path / name).is_file()), None)
        if within is None:
            raise WeightsError(
                f"weights '{path}' is a folder without {', '.join(IN_A_FOLDER[:-1])} or {IN_A_FOLDER[-1]}: "
                "pass the checkpoint file in it"
            )
        path = within
    if not path.name.endswith(INDEX):
        return [path]
    _check_exists(path)
    try:
        names = sorted(set(json.loads(path.read_text("utf-8"))["weight_map"].values()))
        inside = bool(names) and all(Path(name).name == name and name not in ("", "..") for name in names)
    except (ValueError, LookupError, AttributeError, TypeError):
        raise WeightsError(
            f"'{path}' is not an index of tensors ('weight_map'): download or save it again"
        ) from None
    if not inside:
        raise WeightsError(f"the index '{path}' names files outside its folder, or no files: save it again")
    for name in names:
        if not (path.parent / name).is_file():
            raise WeightsError(
                f"'{path.parent / name}' is missing, which the index '{path.name}' names: download it too"
            )
    return [path.parent / name for name in names]


def digest_of(path: Path) -> str:
    """The SHA-256 of a checkpoint's file; for several, that of the output of ``sha256sum``."""
    files = files_of(path)
    if len(files) == 1:
        return sha256_of(files[0])
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise WeightsError(f"weights file '{path}' does not exist: check the path")


def _read_file(path: Path) -> Any:
    _check_exists(path)
    try:
        if path.suffix == PADDLE:
            return read_arrays(path)
        if path.suffix == SAFETENSORS:
            return _read_safetensors(path)
        with allowing_inert_types():
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise WeightsError(
            f"weights file '{path}' cannot be read (permission denied): check its permissions"
        ) from None
    except NotArraysError as error:
        raise WeightsError(
            f"'{path}' holds Python objects besides arrays ({error}), which are not loaded for safety: "
            "save only its state_dict() with paddle.save"
        ) from None
    except pickle.UnpicklingError as error:
        raise _unsafe(path, str(error)) from None
    except DAMAGE as error:
        if "torchscript" in str(error).lower():
            raise WeightsError(
                f"'{path}' is a TorchScript archive, a program: save only the network's state_dict()"
            ) from None
        raise _corrupt(path) from None


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise WeightsError(
            f"reading '{path}' needs the package safetensors: pip install safetensors"
        ) from None
    try:
        return load_file(path)
    except SafetensorError:
        raise _corrupt(path) from None


def _unsafe(path: Path, error: str) -> WeightsError:
    """The error for a rejected pickle, with the name of the type that is not allowed if known."""
    if match := re.search(r"GLOBAL ([\w.]+)", error):
        kind = match[1] if "." in match[1] else f"builtins.{match[1]}"
        whole = "whole networks, " if kind.startswith(("torch.nn.", "__main__.")) else ""
        return WeightsError(
            f"'{path}' holds Python objects besides tensors ({kind}), which are not loaded for safety "
            f"({whole}their code would run): save only its state_dict() with torch.save"
        )
    if "weights_only" in error.lower() or "Weights only" in error:
        return WeightsError(
            f"'{path}' holds Python objects besides tensors, which are not loaded for safety, "
            "or is not a PyTorch checkpoint: save only its state_dict() with torch.save"
        )
    return _corrupt(path)


def _corrupt(path: Path) -> WeightsError:
    kind = {PADDLE: "Paddle", SAFETENSORS: "safetensors"}.get(path.suffix, "PyTorch")
    return WeightsError(f"'{path}' is not a {kind} checkpoint, or is damaged: download or save it again")

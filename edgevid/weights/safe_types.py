"""The Python types that a checkpoint may contain besides tensors: inert ones, whose construction does
nothing.

PyTorch's ``weights_only`` refuses every type that is not allowed by name. This module allows the types that
training scripts store next to the tensors: NumPy numbers and arrays, dates, paths, namespaces. Configurations
and histories of training frameworks become an empty dictionary (``_EmptyDict``): their code is not imported.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import decimal
import pathlib
import types
import uuid
from typing import Any

import numpy as np
import torch

try:
    from numpy._core import multiarray
except ImportError:  # NumPy 1
    from numpy.core import multiarray  # type: ignore[no-redef]


class _EmptyDict:
    """Replaces a type that is not imported by a dictionary that is discarded."""

    def __new__(cls, *args: Any) -> Any:
        return collections.OrderedDict()  # PyTorch can set its items and attributes


class _EmptyList:
    def __new__(cls, *args: Any) -> Any:
        return []


BUILT_IN = (
    *(int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, slice),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
    *(argparse.Namespace, types.SimpleNamespace, decimal.Decimal, uuid.UUID, np.ndarray, np.dtype),
)

BY_NAME = {
    **{f"numpy.{core}.multiarray.scalar": multiarray.scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": multiarray._reconstruct for core in ("core", "_core")},
    # Paths in a checkpoint belong to the machine that wrote it.
    **{f"{home}.PosixPath": pathlib.PurePosixPath for home in ("pathlib", "pathlib._local")},
    **{f"{home}.WindowsPath": pathlib.PureWindowsPath for home in ("pathlib", "pathlib._local")},
    **{f"{home}.PurePosixPath": pathlib.PurePosixPath for home in ("pathlib", "pathlib._local")},
    **{f"{home}.PureWindowsPath": pathlib.PureWindowsPath for home in ("pathlib", "pathlib._local")},
    "collections.deque": _EmptyList,
}

EMPTIED = (
    "collections.defaultdict",
    "typing.Any",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.BooleanNode",
    "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.IntegerNode",
    "omegaconf.nodes.StringNode",
    "mmengine.config.config.ConfigDict",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmcv.utils.config.ConfigDict",
    "fvcore.common.config.CfgNode",
    "yacs.config.CfgNode",
    "easydict.EasyDict",
    "addict.addict.Dict",
)


def allowing_inert_types() -> contextlib.AbstractContextManager:
    """A context in which ``torch.load(weights_only=True)`` accepts these types too."""
    numbers = [getattr(np.dtypes, name) for name in np.dtypes.__all__] if hasattr(np, "dtypes") else []
    inert_types: list[Any] = [*BUILT_IN, *numbers]
    inert_types += [(replacement, name) for name, replacement in BY_NAME.items()]
    inert_types += [(_EmptyDict, name) for name in EMPTIED]
    return torch.serialization.safe_globals(inert_types)

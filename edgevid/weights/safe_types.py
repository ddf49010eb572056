"""Which Python types a checkpoint may hold beside its tensors: inert ones, which do nothing when made.

PyTorch's ``weights_only`` refuses every type that is not allowed by name. What trainings leave beside the
tensors is allowed here: numbers and arrays of NumPy, dates, paths, name spaces. Configurations and
histories of training frameworks become an empty dictionary (``_LeftOut``): their code is not imported.
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


class _LeftOut:
    """Takes the place of a type that is not imported. What is put into it is forgotten with it."""

    def __new__(cls, *args: Any) -> Any:
        return collections.OrderedDict()  # which PyTorch lets be filled, item by item or by attributes


class _LeftOutList:
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
    # A checkpoint's paths are of the machine that wrote it.
    **{f"{home}.PosixPath": pathlib.PurePosixPath for home in ("pathlib", "pathlib._local")},
    **{f"{home}.WindowsPath": pathlib.PureWindowsPath for home in ("pathlib", "pathlib._local")},
    **{f"{home}.PurePosixPath": pathlib.PurePosixPath for home in ("pathlib", "pathlib._local")},
    **{f"{home}.PureWindowsPath": pathlib.PureWindowsPath for home in ("pathlib", "pathlib._local")},
    "collections.deque": _LeftOutList,
}

LEFT_OUT = (
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
    """While it is open, ``torch.load(weights_only=True)`` takes these types too."""
    numbers = [getattr(np.dtypes, name) for name in np.dtypes.__all__] if hasattr(np, "dtypes") else []
    allowed: list[Any] = [*BUILT_IN, *numbers]
    allowed += [(stand_in, name) for name, stand_in in BY_NAME.items()]
    allowed += [(_LeftOut, name) for name in LEFT_OUT]
    return torch.serialization.safe_globals(allowed)

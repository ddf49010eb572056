"""Reads a pickle of numpy arrays, such as Paddle's ``.pdparams``, without running code in it.

Source: ``paddle.save``, which writes a dictionary of arrays, or of (name, array) pairs, and a dictionary of
names. A pickle can call any function; this reader allows only those that construct arrays.
"""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

ALLOWED = {
    ("_codecs", "encode"),
    ("builtins", "tuple"),
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class NotArraysError(pickle.UnpicklingError):
    """The pickle holds something besides arrays."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise NotArraysError(f"it holds {module}.{name}")
        return super().find_class(module, name)


def read_arrays(path: Path) -> dict[str, torch.Tensor]:
    """The arrays of a pickled dictionary, as tensors; other values are dropped.

    Raises ``NotArraysError`` for anything but arrays and plain Python values, and the errors of ``pickle``
    for a damaged file.
    """
    with path.open("rb") as file:
        content = _ArraysOnly(file, encoding="latin1").load()
    tensors: dict[str, torch.Tensor] = collections.OrderedDict()
    if isinstance(content, dict):
        for name, value in content.items():
            array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
            if isinstance(array, np.ndarray):
                tensors[name] = torch.from_numpy(np.array(array))
    return tensors

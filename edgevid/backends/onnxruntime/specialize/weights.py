"""A file of weights beside an optimised model: those that the kernels want in another form."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevid.onnxfile.graph import Model

ALIGNMENT = 4096
"""Of a tensor in the file, so that it can be mapped."""


class WeightFile:
    """Made when the first weights are added to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, model: Model, name: str, array: np.ndarray) -> None:
        """A float32 initializer of ``model`` that lies in this file."""
        with self._path.open("ab") as file:
            file.write(bytes(-file.tell() % ALIGNMENT))
            model.add_weight(name, array.shape, self._path.name, file.tell())
            np.ascontiguousarray(array, np.float32).tofile(file)

"""A file with the weights that a kernel reads in a layout of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevid.onnxfile.graph import Model

ALIGNMENT = 4096
"""Of each tensor in the file, in bytes, so that it can be mapped."""


class WeightFile:
    """Created when the first weights are added."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, model: Model, name: str, array: np.ndarray) -> None:
        """Add a float32 initializer to ``model`` whose data are in this file."""
        with self._path.open("ab") as file:
            file.write(bytes(-file.tell() % ALIGNMENT))
            model.add_weight(name, array.shape, self._path.name, file.tell())
            np.ascontiguousarray(array, np.float32).tofile(file)

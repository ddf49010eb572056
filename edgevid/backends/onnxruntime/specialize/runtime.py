"""What the steps need of ONNX Runtime: an optimized model, the shapes inside it, a comparison on noise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.onnxfile.graph import Model, float_value
from edgevid.parity import compare

MODEL, WEIGHTS = "optimized.onnx", "optimized.weights"
"""File names in the cache."""

TOLERANCE = 1e-5


def load_as_optimized(options: Any, library: Path) -> None:
    """Configure a session for a model that is already optimized and has ops of ``library``."""
    import onnxruntime

    options.register_custom_ops_library(str(library))
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


@dataclass(frozen=True)
class Runtime:
    """ONNX Runtime on ``threads`` threads with the kernels of ``library``, in blocked or in plain layout."""

    library: Path
    threads: int
    in_blocks: bool = True

    def optimize(self, model: Model, weights: Path, folder: Path) -> Model:
        """Have ``model``, with weight files in ``weights``, optimized, and write the result to ``folder``."""
        options = session_options(self.threads)
        options.register_custom_ops_library(str(self.library))
        options.optimized_model_filepath = str(folder / MODEL)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
        # Some releases (1.20 to 1.24) keep reading unchanged weights from the original files, so these must
        # be in the folder of either model.
        for name in model.weight_files:
            _link(weights / name, folder / name)
        source = folder / "source.onnx"
        source.write_bytes(bytes(model))
        cpu_session(source, options, self.in_blocks)
        source.unlink()
        optimized = Model((folder / MODEL).read_bytes())
        for name in set(model.weight_files) - set(optimized.weight_files):
            (folder / name).unlink()
        return optimized

    def shapes(self, model: Model, names: Collection[str], folder: Path) -> dict[str, tuple[int, ...]]:
        """The shapes of values inside an optimized ``model``, which has none: it is run once."""
        outputs = model.outputs
        model.outputs = {name: float_value(name, None) for name in names}
        source = folder / "shapes.onnx"
        source.write_bytes(bytes(model))
        model.outputs = outputs
        arrays = self._run_optimized(source)
        source.unlink()
        return {name: array.shape for name, array in arrays.items()}

    def difference(self, path: Path, specialized: Path) -> float:
        """The largest relative error of outputs and states against the model at ``path``, on noise."""
        return compare(self._run_optimized(specialized), self._run_unmodified(path), TOLERANCE).max_rel

    def _run_optimized(self, path: Path) -> dict[str, np.ndarray]:
        options = session_options(self.threads)
        load_as_optimized(options, self.library)
        return _run_on_noise(path, options)

    def _run_unmodified(self, path: Path) -> dict[str, np.ndarray]:
        try:
            return _run_on_noise(path, session_options(self.threads))
        except Exception:  # ONNX Runtime's exceptions have no common base
            # Some releases reject the function bodies of temporal ops in the file; the library's ops, unfused
            # and separately tested, compute the same.
            options = session_options(self.threads)
            options.register_custom_ops_library(str(self.library))
            return _run_on_noise(path, options)


def _run_on_noise(path: Path, options: Any) -> dict[str, np.ndarray]:
    session = cpu_session(path, options)
    random = np.random.default_rng(0)
    inputs = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        inputs[value.name] = random.standard_normal(shape, dtype=np.float32)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

"""Store weights that several model files of a bundle share once, in an external file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid.host.digest import sha256_of

if TYPE_CHECKING:
    import onnx_ir as ir

INLINE_BYTES = 1024
"""Tensors up to this size stay in the model file: shapes must be readable without the weights."""

METADATA = "edgevid.weights_sha256"
"""Metadata in a model file, so that its hash differs if its weights do."""


def weights_of(precision: str) -> str:
    """The name of the weight file of all models of a precision."""
    return f"model_{precision}.weights"


def save_with_weights(graph: ir.Model, path: Path, weights: str) -> None:
    """Save ``graph`` with its tensors in the file ``weights`` in the same folder, which the first model
    writes.

    Later models share the tensors that have the same name and values there. ``graph`` is not changed.
    """
    import onnx_ir as ir

    weights_path = path.with_name(weights)
    if not weights_path.exists():
        ir.save(graph, path, external_data=weights, size_threshold_bytes=INLINE_BYTES)
        if not weights_path.stat().st_size:  # every tensor is small
            weights_path.unlink()
            return
    shared_tensors = _shared_tensors(path.parent, weights)
    tensors = {name: value.const_value for name, value in graph.graph.initializers.items()}
    try:
        for name, value in graph.graph.initializers.items():
            shared_tensor, tensor = shared_tensors.get(name), tensors[name]
            if shared_tensor is not None and tensor is not None and _are_equal(shared_tensor, tensor):
                value.const_value = shared_tensor
        graph.metadata_props[METADATA] = sha256_of(weights_path)
        ir.save(graph, path)
    finally:
        for name, tensor in tensors.items():
            graph.graph.initializers[name].const_value = tensor


def _shared_tensors(folder: Path, weights: str) -> dict[str, ir.TensorProtocol]:
    """The tensors in the weight file by name, as the model files in ``folder`` refer to them."""
    import onnx_ir as ir

    tensors: dict[str, ir.TensorProtocol] = {}
    for model in folder.glob("*.onnx"):
        for name, value in ir.load(model).graph.initializers.items():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and tensor.location == weights:
                tensors[name] = tensor
    return tensors


def _are_equal(a: ir.TensorProtocol, b: ir.TensorProtocol) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a.numpy(), b.numpy())

"""Weights that several model files of a bundle have in common lie once in a file beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid.host.digest import sha256_of

if TYPE_CHECKING:
    import onnx_ir as ir

INLINE_BYTES = 1024
"""Tensors up to this size stay in the model file: shapes and such must be readable without the weights."""

METADATA = "edgevid.weights_sha256"
"""In a model file, so that its own hash tells different weights apart."""


def weights_of(precision: str) -> str:
    """The name of the file for all models of a precision."""
    return f"model_{precision}.weights"


def save_with_weights(graph: ir.Model, path: Path, weights: str) -> None:
    """Save ``graph`` over the tensors of the file ``weights`` beside it, which the first of them writes.

    A tensor is shared with the files before if it has their name and their numbers. ``graph`` stays as it is.
    """
    import onnx_ir as ir

    beside = path.with_name(weights)
    if not beside.exists():
        ir.save(graph, path, external_data=weights, size_threshold_bytes=INLINE_BYTES)
        if not beside.stat().st_size:  # every tensor is small
            beside.unlink()
            return
    shared = _shared(path.parent, weights)
    own = {name: value.const_value for name, value in graph.graph.initializers.items()}
    try:
        for name, value in graph.graph.initializers.items():
            known, tensor = shared.get(name), own[name]
            if known is not None and tensor is not None and _are_equal(known, tensor):
                value.const_value = known
        graph.metadata_props[METADATA] = sha256_of(beside)
        ir.save(graph, path)
    finally:
        for name, tensor in own.items():
            graph.graph.initializers[name].const_value = tensor


def _shared(folder: Path, weights: str) -> dict[str, ir.TensorProtocol]:
    """The tensors in the file of weights by name, as the model files in ``folder`` so far refer to them."""
    import onnx_ir as ir

    found: dict[str, ir.TensorProtocol] = {}
    for model in folder.glob("*.onnx"):
        for name, value in ir.load(model).graph.initializers.items():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and tensor.location == weights:
                found[name] = tensor
    return found


def _are_equal(a: ir.TensorProtocol, b: ir.TensorProtocol) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a.numpy(), b.numpy())

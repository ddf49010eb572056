"""Shape inference for the values that the exporter left without a shape."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass


def complete_shapes(graph: ir.Model) -> None:
    """Infer missing shapes in place: values inside a decomposed operator have none.

    Existing shapes stay. A shape that depends on constants not folded yet stays missing.
    """
    values = [value for node in graph.graph for value in node.outputs]
    shapes = [(value, value.shape) for value in values if value.shape is not None]
    if len(shapes) == len(values):
        return
    # Not strict: onnx treats any vector of integers as a shape, and fails on the product of two.
    ShapeInferencePass(strict_mode=False)(graph)
    for value in values:  # a symbolic shape such as [unk__0] would survive the folding that resolves it
        if value.shape is not None and not value.shape.is_static():
            value.shape = None
    for value, shape in shapes:  # the shapes from torch are exact
        value.shape = shape

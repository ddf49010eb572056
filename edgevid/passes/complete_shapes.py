"""The shape and type of every value that can be told, in place: what is between operators may have none."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass


def complete_shapes(graph: ir.Model) -> None:
    """Infer the shapes that are missing: the exporter gives none within an operator that became several.

    What is known stays as it is. A shape that depends on what constant folding has yet to tell stays missing.
    """
    values = [value for node in graph.graph for value in node.outputs]
    known = [(value, value.shape) for value in values if value.shape is not None]
    if len(known) == len(values):
        return
    # Not strict: onnx takes any vector of integers for a shape, and stumbles over a product of two.
    ShapeInferencePass(strict_mode=False)(graph)
    for value in values:  # a guess such as [unk__0] would outlive the folding that tells the shape
        if value.shape is not None and not value.shape.is_static():
            value.shape = None
    for value, shape in known:  # what torch knows is exact
        value.shape = shape

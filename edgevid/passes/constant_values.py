"""Values that depend only on constants, but are too large for constant folding.

A tensor filled with one number is a broadcast view of that number, so its size costs no memory.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


class ConstantValues:
    """Caches its results; valid as long as the graph's constants do not change."""

    def __init__(self) -> None:
        self._arrays: dict[ir.Value, np.ndarray | None] = {}

    def of(self, value: ir.Value) -> np.ndarray | None:
        """The constant array of ``value``, or None if it depends on the network's inputs."""
        if value not in self._arrays:
            self._arrays[value] = self._find(value)
        return self._arrays[value]

    def _find(self, value: ir.Value) -> np.ndarray | None:
        if value.const_value is not None:
            return value.const_value.numpy()
        node = value.producer()
        if node is None or node.domain != "" or node.op_type not in OPERATORS:
            return None
        if node.op_type == "Shape" and (source := node.inputs[0]).shape is not None:
            return _shape(node, tuple(source.shape)) if source.shape.is_static() else None
        arrays = [self.of(operand) for operand in node.inputs if operand is not None]
        return None if any(array is None for array in arrays) else OPERATORS[node.op_type](node, *arrays)


def is_all(array: np.ndarray, number: float) -> bool:
    """Whether every element of ``array`` equals ``number``; broadcast elements are compared once."""
    view = array[tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)]
    return bool((view == number).all())


def _shape(node: ir.Node, shape: tuple[int, ...]) -> np.ndarray:
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(shape))
    return np.array(shape[start:end], dtype=np.int64)


def _cast(node: ir.Node, array: np.ndarray) -> np.ndarray:
    view = array[tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)]
    dtype = ir.DataType(node.attributes["to"].as_int()).numpy()
    return np.broadcast_to(view.astype(dtype), array.shape)


def _constant_of_shape(node: ir.Node, shape: np.ndarray) -> np.ndarray:
    fill = node.attributes["value"].as_tensor().numpy() if "value" in node.attributes else np.zeros(1, "f")
    return np.broadcast_to(fill, tuple(shape))


def _expand(node: ir.Node, array: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array, np.broadcast_shapes(array.shape, tuple(shape)))


OPERATORS = {
    "Shape": lambda node, array: _shape(node, array.shape),
    "Identity": lambda node, array: array,
    "Cast": _cast,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Unsqueeze": lambda node, array, axes: np.expand_dims(array, tuple(axes)),
    "Not": lambda node, array: ~array,
    "And": lambda node, a, b: a & b,
    "Or": lambda node, a, b: a | b,
}
"""The operators that torch's exporter writes for zeros, indices and masks."""

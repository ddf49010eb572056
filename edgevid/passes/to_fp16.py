"""f32(x) -> Cast_f32(f16(Cast_f16(x))): the whole graph computes in fp16; inputs and outputs stay float32.

Strongly typed TensorRT networks take their precision from the types in the graph. int8 tensors stay int8;
their scales become fp16, which needs opset 19.

ONNX Runtime's converter is not used: it clamps weights beyond fp16's range without a word, and leaves nodes
in another order than their values (version 1.32).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid.errors import ExportError
from edgevid.passes.build import Builder
from edgevid.specs import PassReport

QDQ_OPS = ("QuantizeLinear", "DequantizeLinear")
FLOAT_ONLY = {("Resize", 1), ("Resize", 2)}
"""Inputs that must be float32 for any data type: the roi and the scales of a Resize."""

OPSET_OF_SCALES, IR_VERSION = 19, 9
FLOAT, HALF = ir.TensorType(ir.DataType.FLOAT), ir.TensorType(ir.DataType.FLOAT16)


def to_fp16(graph: ir.Model) -> PassReport:
    """Convert in place; raises ``ExportError`` if a weight is too large for fp16.

    A graph with QDQ nodes must have opset 18 and gets opset 19.
    """
    inner = graph.graph
    scales = {node.inputs[1].name for node in inner if node.op_type in QDQ_OPS}
    if scales:
        assert graph.opset_imports[""] == OPSET_OF_SCALES - 1, "other operators differ from older opsets"
        graph.opset_imports[""], graph.ir_version = OPSET_OF_SCALES, max(graph.ir_version, IR_VERSION)
    first = next(iter(inner))
    converted = 0
    for name, value in inner.initializers.items():
        float_only = {(node.op_type, index) for node, index in value.uses()} & FLOAT_ONLY
        if value.dtype == ir.DataType.FLOAT and not float_only:
            array = value.const_value.numpy()
            half = _scale_as_half(array) if name in scales else _as_half(name, array)
            value.const_value = ir.tensor(half, name=name)
            value.type = HALF
            converted += 1
    for node in inner:
        for result in node.outputs:
            if result.dtype == ir.DataType.FLOAT:
                result.type = HALF
        if node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT:
            node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT16))
        if node.op_type == "ConstantOfShape":
            _fill_with_half(node)
    for value in list(inner.inputs):
        if value.dtype == ir.DataType.FLOAT:
            half = Builder(inner, first, f"{value.name}_fp16").node(
                "Cast", [value], value.shape.numpy(), HALF, to=int(ir.DataType.FLOAT16)
            )
            cast = half.producer()
            value.replace_all_uses_with(half)
            cast.replace_input_with(0, value)
    for index, value in enumerate(list(inner.outputs)):
        if value.dtype == ir.DataType.FLOAT16:
            inner.outputs[index] = _as_float_output(inner, value)
    return PassReport("to_fp16", converted)


def _fill_with_half(node: ir.Node) -> None:
    fill = node.attributes["value"].as_tensor().numpy() if "value" in node.attributes else np.zeros(1, "f4")
    if fill.dtype == np.float32:
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(_as_half(node.name, fill)))


def _as_half(name: str, array: np.ndarray) -> np.ndarray:
    largest = float(np.finfo(np.float16).max)
    if array.size and float(np.abs(array).max()) > largest:
        raise ExportError(
            f"the weights '{name}' exceed {largest:g}, the largest fp16 value: use --precision fp32"
        )
    return array.astype(np.float16)


def _scale_as_half(array: np.ndarray) -> np.ndarray:
    """Scales rounded up, so that the range of the integers does not shrink and no scale becomes 0."""
    half = array.astype(np.float16)
    return np.where(half < array, np.nextafter(half, np.float16(np.inf)), half)


def _as_float_output(graph: ir.Graph, value: ir.Value) -> ir.Value:
    name = value.name
    value.name = f"{name}_fp16"
    cast = ir.node("Cast", [value], attributes={"to": int(ir.DataType.FLOAT)}, name=f"{name}_cast")
    result = cast.outputs[0]
    result.name, result.shape, result.type = name, value.shape, FLOAT
    graph.append(cast)
    return result

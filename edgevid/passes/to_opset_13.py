"""Opset 18 -> opset 13, the newest that TensorRT 8.2 (JetPack 4.6) parses; the meaning stays the same.

ReduceX(x, axes) -> ReduceX[axes](x); HardSwish(x) -> x * HardSigmoid(x); attributes that later opsets added
are dropped where they say nothing: a Split of opset 13 that is given no lengths makes equal parts by itself.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from edgevid.errors import ExportError
from edgevid.passes.build import Builder
from edgevid.specs import PassReport

OPSET, IR_VERSION = 13, 7
AXES_ATTRIBUTE = {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"}
HARMLESS = {
    "allowzero": 0,
    "training_mode": 0,
    "noop_with_empty_axes": 0,
    "antialias": 0,
    "keep_aspect_ratio_policy": "stretch",
}
"""Attributes newer than opset 13, with the value at which they change nothing."""

REPLACED = {"HardSwish"}
"""Operators newer than opset 13 that are said in older ones."""


def to_opset_13(graph: ir.Model) -> PassReport:
    """Lower in place; ``ExportError`` for a standard operator that has no form in opset 13."""
    matched = 0
    for node in graph.graph:
        if node.domain:
            continue  # a plugin's node is of no opset of ONNX
        if node.op_type == "HardSwish":
            _gate(node, Builder(graph.graph, node, node.name))
            matched += 1
            continue
        matched += _axes_to_attribute(node)
        for name, neutral in HARMLESS.items():
            if _is_new(node, name) and _neutral(node, name, neutral):
                del node.attributes[name]
        if _is_new(node, "num_outputs") and _splits_evenly(node):
            del node.attributes["num_outputs"]
        _check(node)
    graph.opset_imports[""] = OPSET
    graph.ir_version = IR_VERSION
    common.RemoveUnusedNodesPass()(graph)
    return PassReport("to_opset_13", matched)


def _gate(node: ir.Node, build: Builder) -> None:
    x = node.inputs[0]
    shape = x.shape.numpy()
    gate = build.node("HardSigmoid", [x], shape, x.type, alpha=1 / 6, beta=0.5)
    build.replace_anchor(build.node("Mul", [x, gate], shape, x.type))


def _axes_to_attribute(node: ir.Node) -> bool:
    if node.op_type not in AXES_ATTRIBUTE or len(node.inputs) < 2 or node.inputs[1] is None:
        return False
    axes = node.inputs[1].const_value
    if axes is None:
        raise ExportError(f"{node.name} reduces along axes that are computed, which TensorRT 8 does not take")
    node.attributes["axes"] = ir.AttrInt64s("axes", axes.numpy().tolist())
    node.resize_inputs(1)
    return True


def _is_new(node: ir.Node, name: str) -> bool:
    return name in node.attributes and name not in _schema(node).attributes


def _neutral(node: ir.Node, name: str, neutral: int | str) -> bool:
    if node.attributes[name].value == neutral:
        return True
    shape = node.inputs[1].const_value if name == "allowzero" else None
    return shape is not None and 0 not in shape.numpy()


def _splits_evenly(node: ir.Node) -> bool:
    shape = node.inputs[0].shape
    length = shape[node.attributes.get_int("axis", 0)] if shape is not None else None
    return isinstance(length, int) and length % len(node.outputs) == 0


def _check(node: ir.Node) -> None:
    schema = _schema(node)
    unknown = set(node.attributes) - set(schema.attributes)
    if unknown or len(node.inputs) > schema.max_input:
        what = f"attribute {min(unknown)}" if unknown else "number of inputs"
        raise ExportError(
            f"TensorRT 8 does not know the {what} of {node.op_type} ({node.name}): use --target cpu"
        )


def _schema(node: ir.Node) -> onnx.defs.OpSchema:
    try:
        return onnx.defs.get_schema(node.op_type, OPSET, node.domain)
    except onnx.defs.SchemaError:
        raise ExportError(
            f"TensorRT 8 takes ONNX opset {OPSET}, which lacks {node.op_type} ({node.name}): use --target cpu"
        ) from None

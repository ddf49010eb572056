"""Opset 18 -> opset 13, the newest that TensorRT 8.2 (JetPack 4.6) parses; results stay the same.

ReduceX(x, axes) -> ReduceX[axes](x); newer operators become older ones (``older_operators``); attributes and
inputs that later opsets added are dropped where they have no effect, or written out.

ONNX's own version converter has no way down for Split, Pad and LayerNormalization (onnx 1.23).
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from edgevid.errors import ExportError
from edgevid.passes.build import Builder
from edgevid.passes.layer_names import describe
from edgevid.passes.older_operators import to_older_operators
from edgevid.specs import PassReport

OPSET, IR_VERSION = 13, 7
AXES_ATTRIBUTE = {
    "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
    "ReduceLogSum", "ReduceLogSumExp",
}  # fmt: skip
HARMLESS = {
    "allowzero": 0,
    "training_mode": 0,
    "noop_with_empty_axes": 0,
    "antialias": 0,
    "keep_aspect_ratio_policy": "stretch",
    "reduction": "none",
}
"""Attributes newer than opset 13, with the value that has no effect."""


def to_opset_13(graph: ir.Model) -> PassReport:
    """Convert in place; raises ``ExportError`` for a standard operator without an equivalent in opset 13."""
    matched = to_older_operators(graph).matched
    for node in graph.graph:
        if node.domain:
            continue  # plugin nodes do not belong to ONNX's opsets
        matched += _axes_to_attribute(node)
        for name, neutral in HARMLESS.items():
            if _is_new(node, name) and _neutral(node, name, neutral):
                del node.attributes[name]
        if node.op_type in _WRITE_OUT:
            _WRITE_OUT[node.op_type](node, Builder(graph.graph, node, node.name))
        _check(node)
    graph.opset_imports[""] = OPSET
    graph.ir_version = IR_VERSION
    common.RemoveUnusedNodesPass()(graph)
    return PassReport("to_opset_13", matched)


def _axes_to_attribute(node: ir.Node) -> bool:
    if node.op_type not in AXES_ATTRIBUTE or len(node.inputs) < 2 or node.inputs[1] is None:
        return False
    axes = node.inputs[1].const_value
    if axes is None:
        raise ExportError(
            f"{describe(node)} reduces along computed axes, which TensorRT 8 cannot parse: use --target cpu"
        )
    node.attributes["axes"] = ir.AttrInt64s("axes", axes.numpy().tolist())
    node.resize_inputs(1)
    return True


def _write_out_split(node: ir.Node, build: Builder) -> None:
    """Add the lengths of unequal parts; without lengths, opset 13 splits into equal parts."""
    if "num_outputs" not in node.attributes:
        return
    parts, axis = len(node.outputs), node.attributes.get_int("axis", 0)
    length = node.inputs[0].shape[axis] if node.inputs[0].shape is not None else None
    if isinstance(length, int):
        del node.attributes["num_outputs"]
        if length % parts:
            each = -(-length // parts)
            lengths = [min(each, length - each * part) for part in range(parts)]
            node.resize_inputs(2)
            node.replace_input_with(1, build.ints(lengths))


def _write_out_pad(node: ir.Node, build: Builder) -> None:
    """Write the pads of all axes where the node has those of some."""
    if len(node.inputs) < 4 or node.inputs[3] is None:
        return
    axes, pads = (node.inputs[index].const_value for index in (3, 1))
    if axes is None or pads is None:
        return
    rank = len(node.inputs[0].shape)
    widths = np.zeros((2, rank), np.int64)
    widths[:, axes.numpy() % rank] = pads.numpy().reshape(2, -1)
    node.replace_input_with(1, build.ints(widths.reshape(-1)))
    node.resize_inputs(3)


def _write_out_resize(node: ir.Node, build: Builder) -> None:
    """Write the scales or sizes of all axes where the node has those of some."""
    if "axes" not in node.attributes:
        return
    axes = node.attributes["axes"].as_ints()
    rank = len(node.inputs[0].shape)
    for index, size in ((2, None), (3, node.outputs[0].shape)):
        value = node.inputs[index] if len(node.inputs) > index else None
        if value is None or value.const_value is None or not value.const_value.size:
            continue
        array = np.ones(rank, value.const_value.numpy().dtype) if size is None else np.array(size.numpy())
        array[np.array(axes) % rank] = value.const_value.numpy()
        node.replace_input_with(index, build.constant(array))
        del node.attributes["axes"]
        return


_WRITE_OUT = {"Split": _write_out_split, "Pad": _write_out_pad, "Resize": _write_out_resize}


def _is_new(node: ir.Node, name: str) -> bool:
    return name in node.attributes and name not in _schema(node).attributes


def _neutral(node: ir.Node, name: str, neutral: int | str) -> bool:
    if node.attributes[name].value == neutral:
        return True
    shape = node.inputs[1].const_value if name == "allowzero" else None
    return shape is not None and 0 not in shape.numpy()


def _check(node: ir.Node) -> None:
    schema = _schema(node)
    unknown = set(node.attributes) - set(schema.attributes)
    if unknown or len(node.inputs) > schema.max_input:
        part = f"attribute {min(unknown)}" if unknown else "number of inputs"
        raise ExportError(f"TensorRT 8 does not support the {part} of {describe(node)}: use --target cpu")


def _schema(node: ir.Node) -> onnx.defs.OpSchema:
    try:
        return onnx.defs.get_schema(node.op_type, OPSET, node.domain)
    except onnx.defs.SchemaError:
        raise ExportError(
            f"TensorRT 8 reads ONNX opset {OPSET}, which lacks {describe(node)}: use --target cpu"
        ) from None

"""Convert operators without a converter in edgevid with TVM's own ONNX frontend.

``from_onnx`` calls the frontend's converters for a whole graph; here one is called for one node. Their table
is not part of TVM's public API, so ``pyproject.toml`` pins the exact version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.backends.tvm.importer.importer import Importer
from edgevid.errors import ExportError
from edgevid.passes.layer_names import describe

if TYPE_CHECKING:
    import onnx_ir as ir


def has_converter(node: ir.Node) -> bool:
    """Whether TVM's frontend has a converter for the operator."""
    return node.domain == "" and node.op_type in _converters()


def write_by_frontend(importer: Importer, node: ir.Node) -> None:
    """Emit ``node``; ``ExportError`` with TVM's reason if its converter fails."""
    from tvm import relax
    from tvm.relax.frontend.onnx import onnx_frontend

    values = [None if value is None else importer.first(value) for value in node.inputs]
    attributes = _attributes(node)
    attributes["tvm_custom"] = {"name": node.name, "num_outputs": len(node.outputs)}
    try:
        converter = _converters()[node.op_type].get_converter(importer.opset)
        result = importer.builder.normalize(
            converter(importer.builder, onnx_frontend.onnx_input(values), attributes, [{}, {}])
        )
        if not isinstance(result.ty, relax.TupleType):
            importer.set(node.outputs[0], result)
            return
        result = importer.emit(result)
        for index, value in enumerate(node.outputs):
            importer.set(value, relax.TupleGetItem(result, index))
    except Exception as error:  # the converters raise ValueError, AssertionError, ...
        raise ExportError(unsupported_message(node, error)) from error


def unsupported_message(node: ir.Node, reason: object = "") -> str:
    """The message for a node that TVM does not support."""
    lines = str(reason).strip().splitlines()
    detail = f" ({lines[-1].strip()})" if lines else ""
    return f"TVM does not support {describe(node)}{detail}: use --backend onnxruntime"


def _converters() -> dict[str, type]:
    from tvm.relax.frontend.onnx import onnx_frontend

    return onnx_frontend._get_convert_map()


def _attributes(node: ir.Node) -> dict[str, object]:
    """The attributes as the frontend takes them: strings are bytes, lists tuples."""
    import onnx
    import onnx_ir as ir

    proto: onnx.NodeProto = ir.to_proto(node)
    return {
        attribute.name: tuple(value) if isinstance(value, list) else value
        for attribute in proto.attribute
        for value in [onnx.helper.get_attribute_value(attribute)]
    }

"""The portable bodies of the temporal ops, as ONNX functions that a graph carries along."""

from __future__ import annotations

import onnx
import onnx.parser
import onnx_ir as ir

from edgevid import ops


def function_protos(op_type: str) -> list[onnx.FunctionProto]:
    """The function of ``op_type`` first, then the one of its streaming step if it has one."""
    return [onnx.parser.parse_function(text) for text in ops.module_of(op_type).ONNX_FUNCTIONS.values()]


def attach_functions(graph: ir.Model) -> None:
    """Give ``graph`` the body of each temporal op that it uses, and take away those that it does not."""
    used = {node.op_type for node in graph.graph if node.domain == ops.DOMAIN}
    graph.functions.clear()
    graph.opset_imports.pop(ops.DOMAIN, None)
    for op_type in ops.MODULES:
        for proto in function_protos(op_type):
            if proto.name in used:
                function = ir.serde.deserialize_function(proto)
                graph.functions[function.identifier()] = function
                graph.opset_imports[ops.DOMAIN] = 1

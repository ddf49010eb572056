"""The portable bodies of the temporal ops, as ONNX functions that a graph carries along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.ops.temporal_op import DOMAIN

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

FRAMES = "frames"
"""The attribute of an op that says how many frames a clip has."""

FRAMES_INPUT = "frames_scalar"
"""What the body of an op calls that number, and its input where the number is free."""

FREE_FRAMES = "OfFreeFrames"
"""What is added to the name of an op that reads its number of frames from an input."""


def function_protos(op_type: str) -> list[onnx.FunctionProto]:
    """The function of ``op_type`` first, then the one of its streaming step if it has one."""
    from onnx import parser

    from edgevid.ops import op_of

    return [parser.parse_function(text) for text in op_of(op_type).functions.values()]


def of_free_frames(function: onnx.FunctionProto) -> onnx.FunctionProto | None:
    """``function`` with its number of frames as an input, the last, in place of an attribute.

    So a graph whose clips have any length computes it. None for a function that holds no number of frames.
    """
    import onnx

    if FRAMES not in function.attribute:
        return None
    free = onnx.FunctionProto()
    free.CopyFrom(function)
    free.name += FREE_FRAMES
    free.attribute.remove(FRAMES)
    (constant,) = (node for node in free.node if node.output[0] == FRAMES_INPUT)
    free.node.remove(constant)
    free.input.append(FRAMES_INPUT)
    return free


def attach_functions(graph: ir.Model) -> None:
    """Give ``graph`` the body of each temporal op that it uses, and take away those that it does not."""
    import onnx_ir as ir

    from edgevid.ops import OPS

    used = {node.op_type for node in graph.graph if node.domain == DOMAIN}
    graph.functions.clear()
    graph.opset_imports.pop(DOMAIN, None)
    for op_type in OPS:
        protos = function_protos(op_type)
        for proto in (*protos, of_free_frames(protos[0])):
            if proto is not None and proto.name in used:
                function = ir.serde.deserialize_function(proto)
                graph.functions[function.identifier()] = function
                graph.opset_imports[DOMAIN] = 1

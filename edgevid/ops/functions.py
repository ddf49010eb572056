"""The function bodies of the temporal ops: ONNX functions stored in the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.ops.temporal_op import DOMAIN

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

FRAMES = "frames"
"""The attribute of an op for the number of frames in a clip."""

FRAMES_INPUT = "frames_scalar"
"""The name of that number in function bodies, and of the input that holds it where it is dynamic."""

FREE_FRAMES = "OfFreeFrames"
"""The suffix of an op that reads its number of frames from an input."""


def function_protos(op_type: str) -> list[onnx.FunctionProto]:
    """The functions of ``op_type`` and of its streaming step, if it has one."""
    from onnx import parser

    from edgevid.ops import op_of

    return [parser.parse_function(text) for text in op_of(op_type).functions.values()]


def of_free_frames(function: onnx.FunctionProto) -> onnx.FunctionProto | None:
    """``function`` with its number of frames as the last input instead of an attribute.

    Graphs with clips of dynamic length use it. None for a function without a number of frames.
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
    """Add the function body of each temporal op in ``graph``, and remove unused ones."""
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

"""Evaluation of single nodes on constants, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

MAX_ELEMENTS = 1 << 20
"""The most elements of an input: larger ones take too long to evaluate."""


def evaluate(node: ir.Node, inputs: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The first output of a standard operator; None if it cannot be evaluated."""
    from onnx.reference import ReferenceEvaluator

    if node.domain or any(array is not None and array.size > MAX_ELEMENTS for array in inputs):
        return None
    names = [f"input_{index}" if array is not None else "" for index, array in enumerate(inputs)]
    proto = ir.to_proto(node)
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.append("result")
    feeds = {name: array for name, array in zip(names, inputs) if name}
    infos = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    result = onnx.helper.make_empty_tensor_value_info("result")
    graph = onnx.helper.make_graph([proto], "one_node", infos, [result])
    try:
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
        return ReferenceEvaluator(model).run(None, feeds)[0]
    except Exception:  # the reference evaluator raises various errors for operators that it lacks
        return None

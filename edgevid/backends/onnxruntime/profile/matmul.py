"""The rate of a large matrix product: the measured peak of int8, and of floats without a compiler."""

from __future__ import annotations

import time

import numpy as np

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.onnxfile.graph import (
    DIM_VALUE,
    ELEMENT_TYPE,
    GRAPH_INPUT,
    GRAPH_NODE,
    GRAPH_OUTPUT,
    MODEL_GRAPH,
    MODEL_OPSETS,
    OPSET_VERSION,
    SHAPE_DIM,
    TENSOR_SHAPE,
    TYPE_TENSOR,
    VALUE_NAME,
    VALUE_TYPE,
    Node,
)
from edgevid.onnxfile.wire import Message

SIZE, RUNS = 768, 8
FLOAT, UINT8, INT8, INT32 = 1, 2, 3, 6


def peak_gmacs(threads: int, int8: bool = False) -> float:
    """MACs per nanosecond of a product of square matrices, the best of several runs."""
    session = cpu_session(_model(int8), session_options(threads))
    types = (np.uint8, np.int8) if int8 else (np.float32, np.float32)
    inputs = {name: np.ones((SIZE, SIZE), dtype) for name, dtype in zip("ab", types)}
    best = 0.0
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        session.run(None, inputs)
        best = max(best, SIZE**3 / (time.perf_counter_ns() - start))
    return best


def _model(int8: bool) -> bytes:
    op, *types = ("MatMulInteger", UINT8, INT8, INT32) if int8 else ("MatMul", FLOAT, FLOAT, FLOAT)
    graph = Message().add(GRAPH_NODE, Node(op, "", "product", ["a", "b"], ["c"]).to_message()).add(2, op)
    for field, name, type_ in zip((GRAPH_INPUT, GRAPH_INPUT, GRAPH_OUTPUT), "abc", types):
        dims = Message()
        for _ in range(2):
            dims.add(SHAPE_DIM, Message().add(DIM_VALUE, SIZE))
        tensor = Message().add(ELEMENT_TYPE, type_).add(TENSOR_SHAPE, dims)
        value = Message().add(VALUE_NAME, name).add(VALUE_TYPE, Message().add(TYPE_TENSOR, tensor))
        graph.add(field, value)
    opset = Message().add(1, "").add(OPSET_VERSION, 18)
    return bytes(Message().add(1, 9).add(MODEL_GRAPH, graph).add(MODEL_OPSETS, opset))

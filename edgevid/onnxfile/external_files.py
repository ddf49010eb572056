"""Find every external file that an ONNX model names, wherever the format allows it. No ``onnx`` package.

ONNX Runtime before 1.24, and other runtimes, read any path that the model names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgevid.onnxfile.wire import BYTES, fields_of

# The messages of onnx.proto that can contain a tensor, and their fields with such messages.
MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, SPARSE, FUNCTION, TRAINING = range(8)
CHILDREN = {
    MODEL: {7: GRAPH, 20: TRAINING, 25: FUNCTION},
    GRAPH: {1: NODE, 5: TENSOR, 15: SPARSE},
    NODE: {5: ATTRIBUTE},
    ATTRIBUTE: {5: TENSOR, 6: GRAPH, 10: TENSOR, 11: GRAPH, 22: SPARSE, 23: SPARSE},
    SPARSE: {1: TENSOR, 2: TENSOR},
    FUNCTION: {7: NODE, 11: ATTRIBUTE},
    TRAINING: {1: GRAPH, 2: GRAPH},
}
NODE_OP_TYPE, TENSOR_EXTERNAL, ENTRY_KEY, ENTRY_VALUE = 4, 13, 1, 2
EP_CONTEXT = "EPContext"
"""An operator of ONNX Runtime that names a file with compiled code."""


def external_files(data: memoryview) -> set[str]:
    """The locations of an ONNX model's external tensors; ``ValueError`` if ``data`` is not a model."""
    return set(_locations(data, MODEL))


def _locations(data: memoryview, message: int) -> Iterator[str]:
    children = CHILDREN.get(message, {})
    value: Any  # an integer, or bytes, by the kind
    for number, kind, value in fields_of(data):
        if kind != BYTES:
            continue
        if message == TENSOR and number == TENSOR_EXTERNAL:
            entry = {field: bytes(text) for field, kind, text in fields_of(value) if kind == BYTES}
            if entry.get(ENTRY_KEY) == b"location":
                yield entry.get(ENTRY_VALUE, b"").decode("utf-8", "replace")
        elif message == NODE and number == NODE_OP_TYPE and bytes(value) == EP_CONTEXT.encode():
            raise ValueError(f"its operator {EP_CONTEXT} loads compiled code from a file")
        elif number in children:
            yield from _locations(value, children[number])

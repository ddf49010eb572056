"""Temporal operations: one file per op, holding everything the program knows about it.

Each file gives the op's meaning as a torch custom op, its portable form as an ONNX model-local function
whose body is standard ops, its streaming rule (which values it must remember between frames) and its cost.
The names are the same in each: ``ONNX_FUNCTIONS``, ``from_node`` (a record of the attributes and of the
shapes of the weights, with ``check(shape)``), ``cost``, ``streaming_step`` (None for what sees one frame at a
time already) and ``torch_op``, whose tensors are the node's inputs and whose numbers are its attributes.
Torch and onnxscript are imported inside functions, so that passes and devices can read the rest alone.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "edgevid"
"""The ONNX domain, and the torch namespace, of every temporal op."""

OPSET_VERSION = 18
"""The standard opset that function bodies are written in and that traced graphs use."""

MODULES = {
    "TemporalShift": "edgevid.ops.temporal_shift",
    "TemporalConv": "edgevid.ops.temporal_conv",
    "ChannelConv": "edgevid.ops.channel_conv",
    "UnsharedChannelConv": "edgevid.ops.unshared_channel_conv",
    "TemporalDifference": "edgevid.ops.temporal_difference",
    "RunningMean": "edgevid.ops.running_mean",
    "FrameStack": "edgevid.ops.frame_stack",
}
"""ONNX op type to the module that defines it. To add an op, write its file and name it here."""

STEP = "Step"
"""What the name of a streaming step adds to that of its op."""

OPTIONAL_INPUTS = frozenset({"bias"})
"""The inputs that a node of any op may leave out."""


@dataclass(frozen=True)
class Cost:
    """Multiply-adds, and the bytes read and written when the op runs alone, each element touched once."""

    macs: int
    bytes_moved: int


@dataclass(frozen=True)
class StreamingStep:
    """How a causal op runs one frame at a time.

    ``op_type(x, state, *other_inputs, **attributes)`` gives ``(y, next_state)``; ``state_shape`` includes the
    batch.
    """

    op_type: str
    attributes: dict[str, int]
    state_shape: tuple[int, ...]


def module_of(op_type: str) -> ModuleType:
    """The module in ``edgevid.ops`` that defines ``op_type`` or the op it is a step of; else ``KeyError``."""
    return importlib.import_module(MODULES[op_type.removesuffix(STEP)])


def integers(node: ir.Node, *names: str) -> tuple[int, ...]:
    """The attributes of ``node`` by these names; one that is missing raises ``ValueError``."""
    missing = [name for name in names if name not in node.attributes]
    if missing:
        raise ValueError(f"a {node.op_type} needs {', '.join(missing)}")
    return tuple(node.attributes[name].as_int() for name in names)


def input_shape(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """The shape of an input, None if it is left out; one that is not fixed raises ``ValueError``."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return None
    if value.shape is None or not value.shape.is_static():
        raise ValueError(f"input {index} of a {node.op_type} has no fixed shape")
    return tuple(value.shape.numpy())

"""Temporal operations: one file per op, holding everything the program knows about it.

Each file gives the op's meaning as a torch custom op, its portable form as an ONNX model-local function
whose body is standard ops, its streaming rule (which values it must remember between frames) and its cost.
Torch and onnxscript are imported inside functions, so that passes and devices can read the rest alone.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

DOMAIN = "edgevid"
"""The ONNX domain, and the torch namespace, of every temporal op."""

OPSET_VERSION = 18
"""The standard opset that function bodies are written in and that traced graphs use."""

MODULES = {"TemporalShift": "edgevid.ops.temporal_shift"}
"""ONNX op type to the module that defines it. To add an op, write its file and name it here."""


@dataclass(frozen=True)
class Cost:
    """Multiply-adds, and the bytes read and written when the op runs alone, each element touched once."""

    macs: int
    bytes_moved: int


@dataclass(frozen=True)
class StreamingStep:
    """How a causal op runs one frame at a time.

    ``op_type(x, state, **attributes)`` gives ``(y, next_state)``; ``state_shape`` includes the batch.
    """

    op_type: str
    attributes: dict[str, int]
    state_shape: tuple[int, ...]


def module_of(op_type: str) -> ModuleType:
    """The module in ``edgevid.ops`` that defines ``op_type`` (``KeyError`` if there is none)."""
    return importlib.import_module(MODULES[op_type])

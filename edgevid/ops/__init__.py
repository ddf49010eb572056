"""Temporal operations: one file per op, whose ``OP`` is everything the program knows about it.

To add an op, write its file: whatever lists ops reads ``OPS``. Torch, onnx and onnx_ir are imported inside
functions, so that devices can read the rest alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from edgevid.ops.temporal_op import DOMAIN as DOMAIN
from edgevid.ops.temporal_op import OPSET_VERSION as OPSET_VERSION
from edgevid.ops.temporal_op import OPTIONAL_INPUTS as OPTIONAL_INPUTS
from edgevid.ops.temporal_op import STEP as STEP
from edgevid.ops.temporal_op import Cost as Cost
from edgevid.ops.temporal_op import StreamingStep as StreamingStep
from edgevid.ops.temporal_op import TemporalOp as TemporalOp
from edgevid.registry import Registry

OPS: Registry[TemporalOp[Any]] = Registry("temporal op", "ops")
"""Every temporal op by its ONNX op type."""

for _file in pkgutil.iter_modules(__path__):
    _op = getattr(importlib.import_module(f"{__name__}.{_file.name}"), "OP", None)
    if _op is not None:
        OPS.register(_op.name, _op)


def op_of(op_type: str) -> TemporalOp[Any]:
    """The op that ``op_type`` is, or is the streaming step of; ``UnknownNameError`` if there is none."""
    return OPS[op_type.removesuffix(STEP)]

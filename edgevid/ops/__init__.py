"""Temporal operations: one module per op, whose ``OP`` defines everything about it.

To add an op, write its module: all code that lists ops reads ``OPS``. Torch, onnx and onnx_ir are imported
inside functions, so that devices can import the rest without them.
"""

from __future__ import annotations

from typing import Any

from edgevid.ops.temporal_op import DOMAIN as DOMAIN
from edgevid.ops.temporal_op import OPSET_VERSION as OPSET_VERSION
from edgevid.ops.temporal_op import OPTIONAL_INPUTS as OPTIONAL_INPUTS
from edgevid.ops.temporal_op import STEP as STEP
from edgevid.ops.temporal_op import Cost as Cost
from edgevid.ops.temporal_op import StreamingStep as StreamingStep
from edgevid.ops.temporal_op import TemporalOp as TemporalOp
from edgevid.specs.registry import Registry, submodules

OPS: Registry[TemporalOp[Any]] = Registry("temporal op", "ops")
"""Every temporal op by its ONNX op type."""

for _module in submodules(__path__, __name__):
    if hasattr(_module, "OP"):
        OPS.register(_module.OP.name, _module.OP)


def op_of(op_type: str) -> TemporalOp[Any]:
    """The op for its own ``op_type`` or that of its streaming step; raises ``UnknownNameError``."""
    return OPS[op_type.removesuffix(STEP)]

"""Conv(x, w, 0) -> Conv(x, w), where the zeros do not have the shape of a bias.

onnxscript translates a ``Conv3d`` without bias to one with zeros of shape ``(O, 2)`` instead of ``(O,)``: its
``aten_conv3d`` writes the 2 of its branch for complex numbers. Runtimes refuse that, or read past the end.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevid.passes.constant_values import ConstantValues, is_all
from edgevid.specs import PassReport

BIAS = 2


def drop_zero_bias(graph: ir.Model) -> PassReport:
    """Drop each all-zero bias of a convolution whose shape is not ``(O,)``."""
    constants, matched = ConstantValues(), 0
    for node in graph.graph:
        if node.op_type != "Conv" or node.domain != "" or len(node.inputs) <= BIAS:
            continue
        bias = None if node.inputs[BIAS] is None else constants.of(node.inputs[BIAS])
        if bias is not None and bias.shape != tuple(node.inputs[1].shape[:1]) and is_all(bias, 0):
            node.resize_inputs(BIAS)
            matched += 1
    return PassReport("drop_zero_bias", matched)

"""BatchNorm(Conv(x, w, b)) -> Conv(x, w * s, (b - mean) * s + beta), with s = gamma / sqrt(var + eps)."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.rules.common import (
    fuse_batchnorm_into_conv_rule,
    fuse_batchnorm_into_conv_transpose_rule,
    fuse_batchnorm_into_gemm_rule,
)

from edgevid.passes.layer_names import LAYER, layer_of
from edgevid.specs import PassReport

RULES = RewriteRuleSet(
    [fuse_batchnorm_into_conv_rule, fuse_batchnorm_into_conv_transpose_rule, fuse_batchnorm_into_gemm_rule]
)


def fold_batch_norm(graph: ir.Model) -> PassReport:
    """Fold each batch norm into the convolution or linear layer before it, if nothing else reads that."""
    layers = {node.outputs[0].name: _layer(node) for node in graph.graph}
    matched = RULES.apply_to_model(graph)
    for node in graph.graph:
        if not layer_of(node) and (layer := layers.get(node.outputs[0].name)):
            node.meta[LAYER] = layer
    refused = tuple(_reason(node) for node in graph.graph if node.op_type == "BatchNormalization")
    return PassReport("fold_batch_norm", matched, refused)


def _layer(node: ir.Node) -> str:
    """The layer of the fused node by its output: for a batch norm, the convolution that absorbs it."""
    producer = node.inputs[0].producer() if node.op_type == "BatchNormalization" else None
    return layer_of(producer or node)


def _reason(node: ir.Node) -> str:
    producer = node.inputs[0].producer()
    if producer is None:
        return f"{node.name} normalizes an input of the network"
    if producer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
        return f"{node.name} follows {producer.op_type}, not a convolution or linear layer"
    if len(node.inputs[0].uses()) > 1:
        return f"{node.name} follows {producer.name}, whose output has other readers"
    return f"the weights of {node.name} or {producer.name} are not constant, or shared"

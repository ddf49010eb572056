"""The layer of the user's network that a node computes: ``tcn.0.conv1``, its path in ``named_modules()``.

The exporter stores it in each node, next to paths and stack traces of this machine. Only the layer is kept,
in memory (``node.meta``), and never written to a file.
"""

from __future__ import annotations

import ast

import onnx_ir as ir

LAYER = "layer"
SCOPES = "pkg.torch.onnx.name_scopes"


def keep_layer_names(graph: ir.Model) -> None:
    """Copy the layer of each node from the exporter's metadata, before that is dropped."""
    for node in graph.graph.all_nodes():
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "['']"))
        modules = [scope for scope in scopes[:-1] if scope]
        if modules:
            node.meta[LAYER] = modules[-1]


def layer_of(node: ir.Node) -> str:
    """The path of the layer that ``node`` computes; empty outside of layers."""
    return node.meta.get(LAYER, "")


def describe(node: ir.Node) -> str:
    """The layer and the operator, for messages: ``tcn.0.conv1 (Conv)``."""
    layer = layer_of(node) or node.name
    return f"{layer} ({node.op_type})" if layer else node.op_type

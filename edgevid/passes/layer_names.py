"""Which layer of the user's network a node computes: ``tcn.0.conv1``, its path in ``named_modules()``.

The exporter notes it in each node, next to paths and stack traces of this machine; the layer alone
is kept, in memory (``node.meta``), so that it stays out of the files that travel.
"""

from __future__ import annotations

import ast

import onnx_ir as ir

LAYER = "layer"
SCOPES = "pkg.torch.onnx.name_scopes"


def keep_layer_names(graph: ir.Model) -> None:
    """Read what the exporter noted; before its notes are dropped."""
    for node in graph.graph.all_nodes():
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "['']"))
        modules = [scope for scope in scopes[:-1] if scope]
        if modules:
            node.meta[LAYER] = modules[-1]


def layer_of(node: ir.Node) -> str:
    """The path of the layer that ``node`` computes; empty for what the network computes outside of one."""
    return node.meta.get(LAYER, "")


def describe(node: ir.Node) -> str:
    """The layer and the operator, as a message names them: ``tcn.0.conv1 (Conv)``."""
    layer = layer_of(node) or node.name
    return f"{layer} ({node.op_type})" if layer else node.op_type


def layer_of_exported(node) -> str:
    """The same of a node of a ``torch.export.ExportedProgram``."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return paths[-1] if paths else ""

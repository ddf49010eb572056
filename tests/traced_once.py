"""Trace each network of the zoo once for all tests of a worker: tracing is most of the time of an export.

The tables that PyTorch makes anew for each export are shared too.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from typing import Any

import onnx_ir as ir
import torch
from torch.onnx._internal.exporter import _decomp
from torch.onnx._internal.exporter._constants import TORCHLIB_OPSET
from torch.onnx._internal.exporter._registration import ONNXRegistry

from edgevid.exporter import graph

MAX_GRAPHS = 12
"""Graphs that are kept; each holds the weights of its network."""

_from_torchlib = ONNXRegistry.from_torchlib
_decomposition_table = functools.cache(_decomp.create_onnx_friendly_decomposition_table)
_graphs: OrderedDict[str, ir.Model] = OrderedDict()
_trace = graph.trace


def install() -> None:
    """Let exports trace with ``trace``, and share PyTorch's tables of what ONNX has for its operators.

    PyTorch makes the first anew for each export, from the source of 500 functions, and from it the table of
    what is decomposed: of a small network's export that is half of the time.
    """
    graph.trace = trace
    ONNXRegistry.from_torchlib = staticmethod(_copy_of_registry)
    _decomp.create_onnx_friendly_decomposition_table = lambda ops: dict(_decomposition_table(frozenset(ops)))
    torch._decomp.decomposition_table[BATCH_NORM] = _shapes_of_batch_norm


BATCH_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default


def _shapes_of_batch_norm(x: torch.Tensor, *_: object) -> tuple[torch.Tensor, ...]:
    """Of a norm's results, which a trace computes on tensors without data, operator by operator."""
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)


def _copy_of_registry(opset_version: int = TORCHLIB_OPSET) -> ONNXRegistry:
    """A registry of its own: an exporter adds to the lists."""
    registry = ONNXRegistry()
    registry._opset_version = opset_version
    registry.functions = {op: list(functions) for op, functions in _registry(opset_version).functions.items()}
    return registry


@functools.cache
def _registry(opset_version: int) -> ONNXRegistry:
    return _from_torchlib(opset_version)


def trace(network: torch.nn.Module, example: torch.Tensor, *arguments: Any, **options: Any) -> ir.Model:
    """A copy of the graph that the exporter's ``trace`` made of the same network of the zoo."""
    # A network of a test may depend on what no digest sees, such as a function in a closure.
    listed = hasattr(network, "edgevid_spec") and type(network).__module__.startswith("edgevid.zoo.")
    if not listed:
        return _trace(network, example, *arguments, **options)
    key = _key(network, example, arguments, options)
    if key in _graphs:
        _graphs.move_to_end(key)
    else:
        _graphs[key] = _trace(network, example, *arguments, **options)
        if len(_graphs) > MAX_GRAPHS:
            _graphs.popitem(last=False)
    return _graphs[key].clone()


def _key(network: torch.nn.Module, example: torch.Tensor, arguments: tuple, options: dict) -> str:
    """All that a graph depends on: layers with their options, weights, the forward function, sizes, names."""
    forward = getattr(network.forward, "__func__", network.forward)
    parts = (network.edgevid_spec, repr(network), forward, tuple(example.shape), arguments, options)
    digest = hashlib.sha256(repr(parts).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()

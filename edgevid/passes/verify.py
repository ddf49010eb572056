"""Rejects malformed graphs before they are written to a file."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from edgevid import ops
from edgevid.errors import ExportError, first_line


def verify(graph: ir.Model, fixed_shapes: bool = True) -> None:
    """Raise ``ExportError``, naming the node, unless the graph is valid for every backend.

    Checks what :func:`verify_structure` does, and operators and attributes with ONNX's own checker.
    """
    verify_structure(graph, fixed_shapes)
    try:
        CheckerPass()(graph)
    except onnx.checker.ValidationError as error:
        raise _malformed(first_line(error)) from error


def verify_structure(graph: ir.Model, fixed_shapes: bool = True) -> None:
    """Raise ``ExportError`` where a pass can go wrong; fast, for ONNX's checker has to serialize the graph.

    Checks that each value is defined once and before its use; shapes and types of inputs and outputs, static
    if ``fixed_shapes``; a function and valid attributes for each temporal op; finite weights.
    """
    for value in (*graph.graph.inputs, *graph.graph.outputs):
        fixed = value.shape is not None and (value.shape.is_static() or not fixed_shapes)
        if value.dtype is None or not fixed:
            raise _malformed(f"'{value.name}' has no fixed shape and type")
    _check_definitions(graph.graph)
    for node in graph.graph:
        if node.domain == ops.DOMAIN:
            _check_temporal_op(graph, node)
        elif node.domain and node.op_identifier() not in graph.functions:
            raise _malformed(f"'{node.name}' is of the unknown domain '{node.domain}'")
    for name, value in graph.graph.initializers.items():
        _check_finite(name, value)


def _check_definitions(graph: ir.Graph) -> None:
    defined = {id(value) for value in (*graph.inputs, *graph.initializers.values())}
    names = [value.name for value in (*graph.inputs, *graph.initializers.values())]
    for node in graph:
        for value in node.inputs:
            if value is not None and id(value) not in defined:
                raise _malformed(f"'{node.name}' reads '{value.name}', which nothing before it defines")
        defined.update(id(value) for value in node.outputs)
        names += [value.name for value in node.outputs if value.name]
    for value in graph.outputs:
        if id(value) not in defined:
            raise _malformed(f"output '{value.name}' is not defined")
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()
    if twice:
        raise _malformed(f"'{min(twice)}' is defined twice")


def _check_temporal_op(graph: ir.Model, node: ir.Node) -> None:
    if node.op_identifier() not in graph.functions:
        raise _malformed(f"'{node.name}' is an edgevid.{node.op_type} without a function that defines it")
    function = graph.functions[node.op_identifier()]
    missing = [name for name in function.attributes if name not in node.attributes]
    is_given = [value is not None for value in node.inputs] + [False] * len(function.inputs)
    absent = [value.name for value, is_present in zip(function.inputs, is_given) if not is_present]
    if missing or set(absent) - ops.OPTIONAL_INPUTS or len(node.inputs) > len(function.inputs):
        raise _malformed(f"'{node.name}' lacks {', '.join(missing) or 'an input'}")
    if node.inputs[0].shape is not None and node.inputs[0].shape.is_static():
        try:
            ops.op_of(node.op_type).check(node, tuple(node.inputs[0].shape.numpy()))
        except ValueError as error:
            raise _malformed(f"'{node.name}': {error}") from error


def _check_finite(name: str, value: ir.Value) -> None:
    if value.const_value is None:
        raise _malformed(f"initializer '{name}' has no value")
    if value.dtype is not None and value.dtype.is_floating_point():
        # The sum is finite if and only if all weights are: float64 cannot overflow here.
        array = value.const_value.numpy()
        total = float(np.sum(array, dtype=np.float64))
        if not math.isfinite(total) and not _is_mask(array):
            raise ExportError(f"the weights '{name}' are not all finite: train or save the model again")


def _is_mask(array: np.ndarray) -> bool:
    """Whether it is an additive attention mask: 0 or minus infinity."""
    return bool(((array == 0) | (array == -np.inf)).all())


def _malformed(problem: str) -> ExportError:
    return ExportError(f"the graph is malformed: {problem}. Please report this with the command that you ran")

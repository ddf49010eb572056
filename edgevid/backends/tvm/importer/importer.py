"""Import an ``onnx_ir`` graph to a module of TVM's Relax, with edgevid's own functions for convolutions.

Convolutions take and return channels-last tensors. A tensor stays channels-last through operators that work
in either layout, and is transposed only for an operator that needs the graph's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevid.errors import ExportError

if TYPE_CHECKING:
    import onnx_ir as ir
    from tvm import relax

    from edgevid.kernels.common.tvm.machine import Machine

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
ENTRY = "main"


class UnsupportedNodeError(ExportError):
    """A converter of edgevid does not support a node; TVM's own may."""


class Importer:
    """Builds the Relax function ``main``: inputs and states in the graph's order, then all its outputs.

    Operators read values with ``first`` (the graph's order of axes) or ``last`` (N, H, W, C of a tensor N, C,
    H, W), and define them with ``set``. The module is complete once ``build`` returns. ``op_kernels`` maps
    temporal ops to their kernels.
    """

    def __init__(self, graph: ir.Model, machine: Machine) -> None:
        from tvm import relax

        self.graph, self.machine = graph.graph, machine
        self.opset = graph.opset_imports[""]
        self.builder = relax.BlockBuilder()
        self.op_kernels: dict[ir.Node, str] = {}
        self._first: dict[ir.Value, relax.Expr] = {}
        self._last: dict[ir.Value, relax.Expr] = {}
        self._functions: dict[object, relax.GlobalVar] = {}

    def build(self, write: Callable[[Importer, ir.Node], None]):
        """The module; ``write`` emits each node."""
        from tvm import relax

        parameters = [self._parameter(value) for value in self.graph.inputs]
        failure = None
        with self.builder.function(ENTRY, parameters):
            with self.builder.dataflow():
                try:
                    results = self._write_nodes(write)
                except ExportError as error:
                    # Raised once the function is complete: TVM warns about unfinished functions.
                    failure, results = error, []
                results = self.builder.emit_output(relax.Tuple(results))
            self.builder.emit_func_output(results)
        if failure is not None:
            raise failure
        return self.builder.get()

    def _write_nodes(self, write: Callable[[Importer, ir.Node], None]) -> list[relax.Expr]:
        for node in self.graph:
            if not is_constant(node.outputs[0]):
                write(self, node)
        return [self.first(value) for value in self.graph.outputs]

    def _parameter(self, value: ir.Value):
        from tvm import relax

        variable = relax.Var(f"in_{value.name}", relax.TensorType(shape_of(value), _dtype(value)))
        self._first[value] = variable
        return variable

    def emit(self, expression):
        """Bind ``expression`` to a variable of the function."""
        return self.builder.emit(expression)

    def first(self, value: ir.Value):
        """``value`` with the graph's order of axes."""
        from tvm import relax

        if value not in self._first:
            if value in self._last and value.shape[2] == value.shape[3] == 1:
                self._first[value] = self.emit(relax.op.reshape(self._last[value], shape_of(value)))
            elif value in self._last:
                self._first[value] = self.emit(relax.op.permute_dims(self._last[value], TO_FIRST))
            else:
                self._first[value] = relax.const(constant(value))
        return self._first[value]

    def last(self, value: ir.Value):
        """``value``, N, C, H, W in the graph, with channels last."""
        from tvm import relax

        if value not in self._last:
            if is_constant(value):
                self._last[value] = relax.const(np.ascontiguousarray(constant(value).transpose(TO_LAST)))
            elif value.shape[2] == value.shape[3] == 1:
                images, channels, _, _ = shape_of(value)
                shape = (images, 1, 1, channels)
                self._last[value] = self.emit(relax.op.reshape(self.first(value), shape))
            else:
                self._last[value] = self.emit(relax.op.permute_dims(self.first(value), TO_LAST))
        return self._last[value]

    def is_last(self, value: ir.Value) -> bool:
        """Whether there is a channels-last tensor of ``value`` already."""
        return value in self._last

    def set(self, value: ir.Value, expression, last: bool = False) -> None:
        """Define ``value``, with channels last if ``last``."""
        variable = self.emit(expression)
        (self._last if last else self._first)[value] = variable
        if value.shape is None:
            value.shape = _shape_in_graph(variable, last)

    def call(self, key: object, make: Callable[[str], object], arguments: Sequence, shape: Sequence[int]):
        """Call a function of edgevid, which ``make(name)`` writes once per ``key``, with output ``shape``."""
        from tvm import relax

        if key not in self._functions:
            name = f"edgevid_{type(key).__name__.lower()}_{len(self._functions)}"
            self._functions[key] = self.builder.add_func(make(name), name)
        arguments = [
            relax.const(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments
        ]
        return relax.call_tir(self._functions[key], arguments, relax.TensorType(tuple(shape), "float32"))


def constant(value: ir.Value) -> np.ndarray:
    """The array of a weight or another constant; ``UnsupportedNodeError`` if it is computed."""
    if value.const_value is not None:
        return value.const_value.numpy()
    node = value.producer()
    if node is None or not is_constant(value):
        raise UnsupportedNodeError(
            f"TVM needs '{value.name}' to be constant, but {node.op_type if node else 'the caller'} computes "
            "it: use --backend onnxruntime"
        )
    if node.op_type == "Transpose":
        return constant(node.inputs[0]).transpose(node.attributes["perm"].as_ints())
    return constant(node.inputs[0]).reshape(constant(node.inputs[1]))


def is_constant(value: ir.Value) -> bool:
    """Whether ``value`` is a constant, or a reshaped or transposed one: large weights are not folded."""
    if value.const_value is not None:
        return True
    node = value.producer()
    if node is None or node.domain or node.op_type not in ("Reshape", "Transpose"):
        return False
    return all(operand is not None and is_constant(operand) for operand in node.inputs)


def _shape_in_graph(variable: relax.Var, last: bool) -> ir.Shape:
    """The shape that TVM inferred, in the graph's order of axes."""
    import onnx_ir as ir

    shape = [int(extent) for extent in variable.ty.shape]
    return ir.Shape([shape[axis] for axis in TO_FIRST] if last else shape)


def shape_of(value: ir.Value) -> tuple[int, ...]:
    return tuple(value.shape.numpy())


def _dtype(value: ir.Value) -> str:
    return str(value.dtype.numpy())

"""LSTM, GRU and RNN without the ``layout`` attribute, or unrolled to the matrix products of each time step.

LSTM: i, o, f, g = split(x_t W' + h R' + b); c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = sigmoid(o) tanh(c').
GRU: z, r = sigmoid(split(x_t W' + h R' + b)); h' = (1 - z) n + z h, where
n = tanh(x_t W' + r (h R' + b_R) + b_W) or, unless ``linear_before_reset``, tanh(x_t W' + (r h) R' + b).
RNN: h' = tanh(x_t W' + h R' + b).

Source: the ONNX operators LSTM-14, GRU-14 and RNN-14.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid.errors import ExportError
from edgevid.ops.moves import concat, slice_of
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.specs import PassReport

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
"""The default activations of each operator; unrolling refuses others."""

MAX_STEPS = 512
"""The most time steps to unroll: beyond, the graph would have tens of thousands of nodes."""


def is_recurrent(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in GATES


def layout_to_transposes(graph: ir.Model) -> PassReport:
    """Remove ``layout`` from each recurrent operator; where the batch comes first, insert transposes."""
    matched = 0
    for node in [node for node in graph.graph if is_recurrent(node) and "layout" in node.attributes]:
        if node.attributes.pop("layout").as_int():
            _transpose_around(graph.graph, node)
            matched += 1
    return PassReport("layout_to_transposes", matched)


def _transpose_around(graph: ir.Graph, node: ir.Node) -> None:
    build = Builder(graph, node, node.name)
    for index in (0, 5, 6):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None:
            node.replace_input_with(index, _transposed(build, value, (1, 0, 2)))
    for index, result in enumerate(node.outputs):
        order = (2, 0, 1, 3) if index == 0 else (1, 0, 2)
        if not result.name or not (result.uses() or result.is_graph_output()):
            continue
        shape = result.shape.numpy()
        transpose = ir.node("Transpose", [result], attributes={"perm": order}, name=f"{result.name}/layout")
        first = transpose.outputs[0]
        first.shape, first.type = result.shape, result.type
        graph.insert_after(node, transpose)
        name, result.name = result.name, f"{result.name}/time_first"
        first.name = name
        result.replace_all_uses_with(first, replace_graph_outputs=True)
        transpose.replace_input_with(0, result)
        result.shape = ir.Shape([shape[order.index(axis)] for axis in range(len(order))])


def _transposed(build: Builder, value: ir.Value, order: tuple[int, ...]) -> ir.Value:
    shape = value.shape.numpy()
    return build.node("Transpose", [value], [shape[axis] for axis in order], value.type, perm=order)


def unroll_recurrent(graph: ir.Model) -> PassReport:
    """Replace each LSTM, GRU and RNN by its time steps, for runtimes without these operators."""
    layout_to_transposes(graph)
    constants, matched = ConstantValues(), 0
    for node in graph.graph:
        if is_recurrent(node):
            _Unrolled(node, Builder(graph.graph, node, node.name), constants).replace()
            matched += 1
    return PassReport("unroll_recurrent", matched)


class _Unrolled:
    def __init__(self, node: ir.Node, build: Builder, constants: ConstantValues) -> None:
        self.node, self.build, self.kind = node, build, node.op_type
        self.steps, self.batch, self.width = (int(extent) for extent in node.inputs[0].shape.numpy())
        self.hidden = node.attributes["hidden_size"].as_int()
        activations = node.attributes["activations"].as_strings() if "activations" in node.attributes else ()
        self.activation = (*activations, "Tanh")[0]  # only for RNN
        self.type = node.inputs[0].type
        self._cached_constants: dict[tuple, tuple[np.ndarray, ir.Value]] = {}
        inputs = [*node.inputs, *[None] * (8 - len(node.inputs))]
        self.x, _, _, _, lengths, self.first_h, self.first_c, peepholes = inputs
        self.weight, self.recurrence, self.bias = (
            None if value is None else constants.of(value) for value in inputs[1:4]
        )
        if self.bias is None and inputs[3] is None and self.weight is not None:
            self.bias = np.zeros((len(self.weight), 2 * GATES[self.kind] * self.hidden), self.weight.dtype)
        reason = self._refusal(lengths, peepholes)
        if reason:
            raise ExportError(
                f"the {self.kind} '{node.name}' cannot be unrolled ({reason}): use --backend onnxruntime"
            )

    def _refusal(self, lengths: ir.Value | None, peepholes: ir.Value | None) -> str:
        attributes = self.node.attributes
        directions = 2 if attributes.get_string("direction", "forward") == "bidirectional" else 1
        if any(array is None for array in (self.weight, self.recurrence, self.bias)):
            return "its weights are computed"
        if peepholes is not None or attributes.get_int("input_forget", 0) or "clip" in attributes:
            return "peepholes, coupled gates and clipping are not supported"
        if "activations" in attributes:
            activations = tuple(attributes["activations"].as_strings())
            simple = (
                self.kind == "RNN" and set(activations) <= {"Tanh", "Relu"} and len(set(activations)) == 1
            )
            if activations != DEFAULTS[self.kind] * directions and not simple:
                return f"its activations are {', '.join(activations)}"
        if lengths is not None:
            return "its sequences have individual lengths"
        if self.steps > MAX_STEPS:
            return f"its {self.steps} time steps are more than {MAX_STEPS}"
        return ""

    def replace(self) -> None:
        direction = self.node.attributes.get_string("direction", "forward")
        is_backward = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
        runs = [self._run(index, backwards) for index, backwards in enumerate(is_backward)]
        step_shape = (1, 1, self.batch, self.hidden)
        hiddens = []
        for step in range(self.steps):
            parts = [self._reshape(states[step], step_shape) for states, _ in runs]
            hiddens.append(self._concat(parts, 1))
        results = [self._concat(hiddens, 0)]
        ends = [states[0 if backwards else -1] for (states, _), backwards in zip(runs, is_backward)]
        results.append(self._concat([self._reshape(end, step_shape[1:]) for end in ends], 0))
        if self.kind == "LSTM":
            results.append(self._concat([self._reshape(cell, step_shape[1:]) for _, cell in runs], 0))
        self.build.replace_anchor(*results[: len(self.node.outputs)])

    def _run(self, index: int, backwards: bool) -> tuple[list[ir.Value], ir.Value | None]:
        """The hidden states ``(N, H)`` in time order, and the last cell state of an LSTM."""
        gates = GATES[self.kind] * self.hidden
        weight, recurrence, bias = (array[index] for array in (self.weight, self.recurrence, self.bias))
        of_input, of_hidden = bias[:gates], bias[gates:]
        if self.kind == "GRU":  # with linear_before_reset, r multiplies the hidden part and its bias
            split = 2 * self.hidden
            of_input = np.concatenate([of_input[:split] + of_hidden[:split], of_input[split:]])
            of_hidden = of_hidden[split:]
        else:
            of_input = of_input + of_hidden
        flat = self._reshape(self.x, (self.steps * self.batch, self.width))
        all_inputs = self._affine(flat, weight, of_input)
        h = self._initial(self.first_h, index)
        c = self._initial(self.first_c, index) if self.kind == "LSTM" else None
        states: dict[int, ir.Value] = {}
        for step in reversed(range(self.steps)) if backwards else range(self.steps):
            x = self._slice(all_inputs, 0, step * self.batch, (step + 1) * self.batch)
            if self.kind == "LSTM":
                h, c = self._lstm(x, h, c, recurrence)
            elif self.kind == "GRU":
                h = self._gru(x, h, recurrence, of_hidden)
            else:
                h = self._do(self.activation, self._do("Add", x, self._affine(h, recurrence)))
            states[step] = h
        return [states[step] for step in range(self.steps)], c

    def _lstm(self, x: ir.Value, h: ir.Value, c: ir.Value, recurrence: np.ndarray) -> tuple:
        sums = self._do("Add", x, self._affine(h, recurrence))
        i, o, f, g = (self._gate(sums, number) for number in range(4))
        remembered = self._do("Mul", self._do("Sigmoid", f), c)
        c = self._do("Add", remembered, self._do("Mul", self._do("Sigmoid", i), self._do("Tanh", g)))
        return self._do("Mul", self._do("Sigmoid", o), self._do("Tanh", c)), c

    def _gru(self, x: ir.Value, h: ir.Value, recurrence: np.ndarray, last_bias: np.ndarray) -> ir.Value:
        split = 2 * self.hidden
        both = self._do("Add", self._slice(x, 1, 0, split), self._affine(h, recurrence[:split]))
        z, r = (self._do("Sigmoid", self._gate(both, number)) for number in range(2))
        if self.node.attributes.get_int("linear_before_reset", 0):
            part = self._do("Mul", r, self._affine(h, recurrence[split:], last_bias))
        else:
            part = self._affine(self._do("Mul", r, h), recurrence[split:], last_bias)
        n = self._do("Tanh", self._do("Add", self._slice(x, 1, split, split + self.hidden), part))
        # (1 - z) n + z h
        return self._do("Add", n, self._do("Mul", z, self._do("Sub", h, n)))

    def _gate(self, sums: ir.Value, number: int) -> ir.Value:
        return self._slice(sums, 1, number * self.hidden, (number + 1) * self.hidden)

    def _initial(self, value: ir.Value | None, index: int) -> ir.Value:
        shape = (self.batch, self.hidden)
        if value is None:
            return self.build.zeros(shape, self.type.dtype.numpy())
        return self._reshape(self._slice(value, 0, index, index + 1), shape)

    def _affine(self, x: ir.Value, weight: np.ndarray, bias: np.ndarray | None = None) -> ir.Value:
        """``x weight' + bias`` for ``x`` ``(N, C)`` and ``weight`` ``(O, C)``."""
        constants = [self._constant(weight)]
        if bias is not None and bias.any():
            constants.append(self._constant(bias))
        shape = (x.shape[0], len(weight))
        return self.build.node("Gemm", [x, *constants], shape, self.type, transB=1)

    def _constant(self, array: np.ndarray) -> ir.Value:
        """A constant, shared by all time steps that read the same part of the weights."""
        key = array.__array_interface__["data"][0], array.shape
        if key not in self._cached_constants:
            self._cached_constants[key] = array, self.build.constant(np.ascontiguousarray(array))
        return self._cached_constants[key][1]

    def _do(self, op_type: str, *values: ir.Value) -> ir.Value:
        return self.build.node(op_type, values, values[0].shape.numpy(), self.type)

    def _slice(self, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        return slice_of(x, axis, start, end, self.build)

    def _reshape(self, x: ir.Value, shape: tuple[int, ...]) -> ir.Value:
        return self.build.node("Reshape", [x, self.build.ints(shape)], shape, self.type)

    def _concat(self, parts: list[ir.Value], axis: int) -> ir.Value:
        return parts[0] if len(parts) == 1 else concat(parts, axis, self.build)

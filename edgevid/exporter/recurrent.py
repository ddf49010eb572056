"""Recurrent layers that torch's exporter gets wrong: it unrolls plain RNNs, and drops LSTM projections."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgevid.errors import ExportError

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch


def refuse_projections(model: torch.nn.Module) -> None:
    """ONNX's LSTM has no projection, and the exporter drops it silently."""
    import torch

    for path, layer in model.named_modules():
        if isinstance(layer, torch.nn.LSTM) and layer.proj_size:
            raise ExportError(
                f"the layer '{path}' is an LSTM with proj_size, which ONNX does not support: "
                "use an LSTM followed by a Linear"
            )


def translations() -> dict[object, Callable]:
    """``torch.nn.RNN``'s two operators to functions that emit ONNX's ``RNN``; torch has GRU and LSTM."""
    import torch

    return {
        torch.ops.aten.rnn_tanh.input: functools.partial(_emit, "Tanh"),
        torch.ops.aten.rnn_relu.input: functools.partial(_emit, "Relu"),
    }


def _emit(
    activation: str,
    x: ir.Value,
    first: ir.Value,
    weights: Sequence[ir.Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[ir.Value, ir.Value]:
    """The output of the last layer for each frame, and the final state of each layer."""
    from onnxscript import opset18 as op

    directions, per_layer = 1 + bidirectional, 4 if has_biases else 2
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    last = []
    for layer in range(num_layers):
        parameters = weights[layer * directions * per_layer : (layer + 1) * directions * per_layer]
        by_direction = [
            parameters[start : start + per_layer] for start in range(0, len(parameters), per_layer)
        ]
        inputs = [_stacked([group[index] for group in by_direction]) for index in (0, 1)]
        biases = [op.Concat(*group[2:], axis=0) for group in by_direction if has_biases]
        rows = [op.Constant(value_ints=[row]) for row in (layer * directions, (layer + 1) * directions, 0)]
        y, after = op.RNN(
            x, *inputs, _stacked(biases) if biases else None, None, op.Slice(first, *rows),
            hidden_size=int(parameters[1].shape[1]), activations=[activation] * directions,
            direction="bidirectional" if bidirectional else "forward",
        )  # fmt: skip
        # (T, directions, N, hidden) -> (T, N, directions * hidden)
        x = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), op.Constant(value_ints=[0, 0, -1]))
        last.append(after)
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    return x, last[0] if len(last) == 1 else op.Concat(*last, axis=0)


def _stacked(values: Sequence[ir.Value]) -> ir.Value:
    """Stack ``values`` along a new first axis."""
    from onnxscript import opset18 as op

    rows = [op.Unsqueeze(value, op.Constant(value_ints=[0])) for value in values]
    return rows[0] if len(rows) == 1 else op.Concat(*rows, axis=0)

"""The effect of data-movement operators on the origins of a tensor's elements.

A product with a 0/1 mask, a sum of tensors that are never both non-zero, a tensor minus itself, and a
channel-wise convolution with one-hot filters are data movement too. (They turn an infinite value into NaN
where data movement gives zero.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid.passes.constant_values import ConstantValues, is_all
from edgevid.passes.recognize.origins import Origins, concat, disjoint_sum, where


class NotDataMovementError(Exception):
    """The node computes values, or moves them to places that depend on the network's inputs."""


@dataclass(frozen=True)
class Operands:
    """The inputs of a node: tensors with known origins, and constants."""

    node: ir.Node
    origins: dict[ir.Value, Origins]
    constants: ConstantValues

    def data(self, position: int = 0) -> Origins:
        value = self.node.inputs[position]
        if value in self.origins:
            return self.origins[value]
        if not is_all(array := self.numbers(position), 0):
            raise NotDataMovementError
        return Origins.zeros(array.shape)

    def numbers(self, position: int, default: object = None) -> np.ndarray:
        inputs = self.node.inputs
        if position >= len(inputs) or inputs[position] is None:
            return np.asarray(default)
        array = self.constants.of(inputs[position])
        if array is None:
            raise NotDataMovementError
        return array

    def integer(self, name: str, default: int) -> int:
        return self.node.attributes.get_int(name, default)


def moves(node: ir.Node, constants: ConstantValues) -> bool:
    """Whether ``node`` may be data movement; ``origins_of`` decides."""
    if node.domain != "" or node.op_type not in MOVEMENTS:
        return False
    if node.op_type == "Conv":
        return taps(node, constants) is not None
    if node.op_type == "Mul":
        return any(constants.of(value) is not None for value in node.inputs)
    if node.op_type == "Sub":
        return node.inputs[0] is node.inputs[1]
    return True


def origins_of(
    target: ir.Value, source: ir.Value, nodes: Iterable[ir.Node], constants: ConstantValues
) -> Origins:
    """The origins in ``source`` of the elements of ``target``, through ``nodes`` in topological order.

    Raises ``NotDataMovementError`` if a node computes values.
    """
    origins = {source: Origins.of_source(source.shape.numpy())}
    for node in nodes:
        results = MOVEMENTS[node.op_type](Operands(node, origins, constants))
        for value, result in zip(node.outputs, results if isinstance(results, list) else [results]):
            origins[value] = result
    return origins[target]


def taps(node: ir.Node, constants: ConstantValues) -> np.ndarray | None:
    """The position of the 1 in each channel's one-hot filter; None for any other convolution.

    The convolution must be channel-wise, with constant weights and no bias.
    """
    filters = channel_filters(node, constants)
    if filters is None or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    bias = (
        constants.of(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(1)
    )
    if bias is None or bias.any() or not has_one_tap(filters).all():
        return None
    flat = filters.reshape(len(filters), -1)
    return np.stack(np.unravel_index(flat.argmax(1), filters.shape[1:]), axis=1)


def has_one_tap(filters: np.ndarray) -> np.ndarray:
    """Whether each of the filters ``(C, k, ...)`` is one-hot."""
    flat = filters.reshape(len(filters), -1)
    return ((flat == 1).sum(1) == 1) & ((flat == 0).sum(1) == flat.shape[1] - 1)


def channel_filters(node: ir.Node, constants: ConstantValues) -> np.ndarray | None:
    """The filters ``(C, k, ...)`` of a channel-wise convolution; None for any other."""
    weights = constants.of(node.inputs[1])
    if weights is None or weights.shape[1] != 1 or node.attributes.get_int("group", 1) != len(weights):
        return None
    return weights[:, 0]


def _reshape(operands: Operands) -> Origins:
    data, shape = operands.data(), list(operands.numbers(1))
    if not operands.integer("allowzero", 0):
        shape = [data.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if -1 in shape:
        others = -int(np.prod(shape))
        shape[shape.index(-1)] = int(np.prod(data.shape)) // others if others else 0
    return data.reshape([int(size) for size in shape])


def _flatten(operands: Operands) -> Origins:
    data = operands.data()
    axis = operands.integer("axis", 1) % (len(data.shape) + 1)
    return data.reshape([int(np.prod(data.shape[:axis])), int(np.prod(data.shape[axis:]))])


def _squeeze(operands: Operands) -> Origins:
    data = operands.data()
    unit_axes = [axis for axis, size in enumerate(data.shape) if size == 1]
    axes = {int(axis) % len(data.shape) for axis in operands.numbers(1, unit_axes)}
    return data.reshape([size for axis, size in enumerate(data.shape) if axis not in axes])


def _unsqueeze(operands: Operands) -> Origins:
    data, axes = operands.data(), operands.numbers(1)
    return data.reshape(np.expand_dims(np.empty(data.shape, dtype=np.bool_), tuple(axes)).shape)


def _transpose(operands: Operands) -> Origins:
    data = operands.data()
    return data.transpose(operands.node.attributes.get_ints("perm", range(len(data.shape))[::-1]))


def _slice(operands: Operands) -> Origins:
    data, starts, ends = operands.data(), operands.numbers(1), operands.numbers(2)
    axes, steps = operands.numbers(3, range(len(starts))), operands.numbers(4, [1] * len(starts))
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist()):
        data = data.take(axis % len(data.shape), range(data.shape[axis])[start:end:step])
    return data


def _split(operands: Operands) -> list[Origins]:
    data = operands.data()
    axis, count = operands.integer("axis", 0) % len(data.shape), len(operands.node.outputs)
    size = data.shape[axis]
    each = -(-size // count)
    even = [min(each, size - start) for start in range(0, size, each)]
    ends = np.cumsum(operands.numbers(1, even)).tolist()
    return [data.take(axis, range(start, end)) for start, end in zip([0, *ends], ends)]


def _concat(operands: Operands) -> Origins:
    parts = [operands.data(position) for position in range(len(operands.node.inputs))]
    return concat(parts, operands.integer("axis", 0) % len(parts[0].shape))


def _pad(operands: Operands) -> Origins:
    data, pads = operands.data(), operands.numbers(1).tolist()
    if operands.node.attributes.get_string("mode", "constant") != "constant" or operands.numbers(2, 0).any():
        raise NotDataMovementError
    axes = operands.numbers(3, range(len(data.shape))).tolist()
    for axis, before, after in zip(axes, pads, pads[len(axes) :]):
        inside = range(max(-before, 0), data.shape[axis] - max(-after, 0))
        data = data.take(axis, inside).pad(axis % len(data.shape), max(before, 0), max(after, 0))
    return data


def _gather(operands: Operands) -> Origins:
    data, indices = operands.data(), operands.numbers(1)
    axis = operands.integer("axis", 0) % len(data.shape)
    slices = data.take(axis, indices.ravel() % data.shape[axis])
    return slices.reshape([*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]])


def _gather_nd(operands: Operands) -> Origins:
    data, indices = operands.data(), operands.numbers(1)
    if operands.integer("batch_dims", 0) or indices.shape[-1] != 1:
        raise NotDataMovementError
    return data.take(0, indices.ravel() % data.shape[0]).reshape([*indices.shape[:-1], *data.shape[1:]])


def _scatter_nd(operands: Operands) -> Origins:
    data, indices, updates = operands.data(0), operands.numbers(1), operands.data(2)
    if not _overwrites(operands) or indices.ndim != 2 or indices.shape[-1] != 1:
        raise NotDataMovementError
    return data.put(0, indices.ravel() % data.shape[0], updates)


def _scatter_elements(operands: Operands) -> Origins:
    data, indices, updates = operands.data(0), operands.numbers(1), operands.data(2)
    axis = operands.integer("axis", 0) % len(data.shape)
    others = tuple(slice(None) if number == axis else slice(1) for number in range(indices.ndim))
    line = indices[others]
    whole = [len(line.ravel()) if number == axis else size for number, size in enumerate(data.shape)]
    if not _overwrites(operands) or list(indices.shape) != whole or not (indices == line).all():
        raise NotDataMovementError
    return data.put(axis, line.ravel() % data.shape[axis], updates)


def _overwrites(operands: Operands) -> bool:
    return operands.node.attributes.get_string("reduction", "none") == "none"


def _expand(operands: Operands) -> Origins:
    data, shape = operands.data(), operands.numbers(1)
    return data.expand(np.broadcast_shapes(data.shape, tuple(shape.tolist())))


def _where(operands: Operands) -> Origins:
    return where(operands.numbers(0), operands.data(1), operands.data(2))


def _mul(operands: Operands) -> Origins:
    mask_at = int(operands.constants.of(operands.node.inputs[1]) is not None)
    mask, data = operands.numbers(mask_at), operands.data(1 - mask_at)
    if not ((mask == 0) | (mask == 1)).all():
        raise NotDataMovementError
    return where(mask != 0, data, Origins.zeros((1,) * len(data.shape)))


def _add(operands: Operands) -> Origins:
    total = disjoint_sum(operands.data(0), operands.data(1))
    if total is None:
        raise NotDataMovementError
    return total


def _difference_of_equals(operands: Operands) -> Origins:
    return Origins.zeros(operands.data().shape)


def _conv(operands: Operands) -> Origins:
    data, positions = operands.data(), taps(operands.node, operands.constants)
    rank = len(data.shape) - 2
    attributes = operands.node.attributes
    pads = attributes.get_ints("pads", [0] * 2 * rank)
    strides, dilations = (
        attributes.get_ints("strides", [1] * rank),
        attributes.get_ints("dilations", [1] * rank),
    )
    reach = [(size - 1) * dilation for size, dilation in zip(operands.numbers(1).shape[2:], dilations)]
    for axis in range(rank):
        data = data.pad(axis + 2, pads[axis], pads[axis + rank])
    counts = [(data.shape[axis + 2] - reach[axis] - 1) // strides[axis] + 1 for axis in range(rank)]
    result = Origins.zeros((*data.shape[:2], *counts))
    for tap in np.unique(positions, axis=0):
        shifted = data
        for axis in range(rank):
            indices = tap[axis] * dilations[axis] + strides[axis] * np.arange(counts[axis])
            shifted = shifted.take(axis + 2, indices)
        mask = (positions == tap).all(1).reshape(-1, *(1,) * rank)
        result = where(mask, shifted, result)
    return result


MOVEMENTS: dict[str, Callable[[Operands], Origins | list[Origins]]] = {
    "Identity": lambda operands: operands.data(),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Pad": _pad,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "ScatterElements": _scatter_elements,
    "Expand": _expand,
    "Where": _where,
    "Mul": _mul,
    "Add": _add,
    "Sub": _difference_of_equals,
    "Conv": _conv,
}

"""What the operators that only move values, and zeros, do to the origins of a tensor.

A product with a mask of 0 and 1, a sum of tensors that are never both non-zero, a difference of a tensor and
itself, and a channel-wise convolution with a single 1 for each channel, move values too. (They give NaN where
the source has an infinite value, and a movement gives zero.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid.passes.constant_values import ConstantValues, is_all
from edgevid.passes.recognize.origins import Origins, concat, disjoint_sum, where


class NotAMovementError(Exception):
    """The node computes something, or moves values to places that depend on the network's input."""


@dataclass(frozen=True)
class Operands:
    """What a node reads: tensors whose origins are known, and constants."""

    node: ir.Node
    origins: dict[ir.Value, Origins]
    constants: ConstantValues

    def data(self, position: int = 0) -> Origins:
        value = self.node.inputs[position]
        if value in self.origins:
            return self.origins[value]
        if not is_all(array := self.numbers(position), 0):
            raise NotAMovementError
        return Origins.zeros(array.shape)

    def numbers(self, position: int, default: object = None) -> np.ndarray:
        inputs = self.node.inputs
        if position >= len(inputs) or inputs[position] is None:
            return np.asarray(default)
        array = self.constants.of(inputs[position])
        if array is None:
            raise NotAMovementError
        return array

    def integer(self, name: str, default: int) -> int:
        return self.node.attributes.get_int(name, default)


def moves(node: ir.Node, constants: ConstantValues) -> bool:
    """Whether ``node`` may be a movement; ``origins_of`` knows for sure."""
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
    """The origins in ``source`` of ``target``, which ``nodes``, in topological order, compute from it.

    Raises ``NotAMovementError`` if they do more than move values.
    """
    origins = {source: Origins.of_source(source.shape.numpy())}
    for node in nodes:
        results = MOVEMENTS[node.op_type](Operands(node, origins, constants))
        for value, result in zip(node.outputs, results if isinstance(results, list) else [results]):
            origins[value] = result
    return origins[target]


def taps(node: ir.Node, constants: ConstantValues) -> np.ndarray | None:
    """For each channel the position of the single 1 in its filter; None if the convolution is another kind.

    One of this kind keeps channels apart, and has constant weights and no bias.
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
    """For each filter of ``(C, k, ...)``: whether it is a single 1 among zeros."""
    flat = filters.reshape(len(filters), -1)
    return ((flat == 1).sum(1) == 1) & ((flat == 0).sum(1) == flat.shape[1] - 1)


def channel_filters(node: ir.Node, constants: ConstantValues) -> np.ndarray | None:
    """The filter of each channel, ``(C, k, ...)``, of a convolution that keeps channels apart."""
    weights = constants.of(node.inputs[1])
    if weights is None or weights.shape[1] != 1 or node.attributes.get_int("group", 1) != len(weights):
        return None
    return weights[:, 0]


def _reshape(given: Operands) -> Origins:
    data, shape = given.data(), list(given.numbers(1))
    if not given.integer("allowzero", 0):
        shape = [data.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if -1 in shape:
        known = -int(np.prod(shape))
        shape[shape.index(-1)] = int(np.prod(data.shape)) // known if known else 0
    return data.reshape([int(size) for size in shape])


def _flatten(given: Operands) -> Origins:
    data = given.data()
    axis = given.integer("axis", 1) % (len(data.shape) + 1)
    return data.reshape([int(np.prod(data.shape[:axis])), int(np.prod(data.shape[axis:]))])


def _squeeze(given: Operands) -> Origins:
    data = given.data()
    ones = [axis for axis, size in enumerate(data.shape) if size == 1]
    axes = {int(axis) % len(data.shape) for axis in given.numbers(1, ones)}
    return data.reshape([size for axis, size in enumerate(data.shape) if axis not in axes])


def _unsqueeze(given: Operands) -> Origins:
    data, axes = given.data(), given.numbers(1)
    return data.reshape(np.expand_dims(np.empty(data.shape, dtype=np.bool_), tuple(axes)).shape)


def _transpose(given: Operands) -> Origins:
    data = given.data()
    return data.transpose(given.node.attributes.get_ints("perm", range(len(data.shape))[::-1]))


def _slice(given: Operands) -> Origins:
    data, starts, ends = given.data(), given.numbers(1), given.numbers(2)
    axes, steps = given.numbers(3, range(len(starts))), given.numbers(4, [1] * len(starts))
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist()):
        data = data.take(axis % len(data.shape), range(data.shape[axis])[start:end:step])
    return data


def _split(given: Operands) -> list[Origins]:
    data = given.data()
    axis, count = given.integer("axis", 0) % len(data.shape), len(given.node.outputs)
    size = data.shape[axis]
    most = -(-size // count)
    even = [min(most, size - start) for start in range(0, size, most)]
    ends = np.cumsum(given.numbers(1, even)).tolist()
    return [data.take(axis, range(start, end)) for start, end in zip([0, *ends], ends)]


def _concat(given: Operands) -> Origins:
    parts = [given.data(position) for position in range(len(given.node.inputs))]
    return concat(parts, given.integer("axis", 0) % len(parts[0].shape))


def _pad(given: Operands) -> Origins:
    data, pads = given.data(), given.numbers(1).tolist()
    if given.node.attributes.get_string("mode", "constant") != "constant" or given.numbers(2, 0).any():
        raise NotAMovementError
    axes = given.numbers(3, range(len(data.shape))).tolist()
    for axis, before, after in zip(axes, pads, pads[len(axes) :]):
        kept = range(max(-before, 0), data.shape[axis] - max(-after, 0))
        data = data.take(axis, kept).pad(axis % len(data.shape), max(before, 0), max(after, 0))
    return data


def _gather(given: Operands) -> Origins:
    data, indices = given.data(), given.numbers(1)
    axis = given.integer("axis", 0) % len(data.shape)
    taken = data.take(axis, indices.ravel() % data.shape[axis])
    return taken.reshape([*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]])


def _gather_nd(given: Operands) -> Origins:
    data, indices = given.data(), given.numbers(1)
    if given.integer("batch_dims", 0) or indices.shape[-1] != 1:
        raise NotAMovementError
    return data.take(0, indices.ravel() % data.shape[0]).reshape([*indices.shape[:-1], *data.shape[1:]])


def _scatter_nd(given: Operands) -> Origins:
    data, indices, updates = given.data(0), given.numbers(1), given.data(2)
    if not _overwrites(given) or indices.ndim != 2 or indices.shape[-1] != 1:
        raise NotAMovementError
    return data.put(0, indices.ravel() % data.shape[0], updates)


def _scatter_elements(given: Operands) -> Origins:
    data, indices, updates = given.data(0), given.numbers(1), given.data(2)
    axis = given.integer("axis", 0) % len(data.shape)
    others = tuple(slice(None) if number == axis else slice(1) for number in range(indices.ndim))
    line = indices[others]
    whole = [len(line.ravel()) if number == axis else size for number, size in enumerate(data.shape)]
    if not _overwrites(given) or list(indices.shape) != whole or not (indices == line).all():
        raise NotAMovementError
    return data.put(axis, line.ravel() % data.shape[axis], updates)


def _overwrites(given: Operands) -> bool:
    return given.node.attributes.get_string("reduction", "none") == "none"


def _expand(given: Operands) -> Origins:
    data, shape = given.data(), given.numbers(1)
    return data.expand(np.broadcast_shapes(data.shape, tuple(shape.tolist())))


def _where(given: Operands) -> Origins:
    return where(given.numbers(0), given.data(1), given.data(2))


def _mul(given: Operands) -> Origins:
    mask_at = int(given.constants.of(given.node.inputs[1]) is not None)
    mask, data = given.numbers(mask_at), given.data(1 - mask_at)
    if not ((mask == 0) | (mask == 1)).all():
        raise NotAMovementError
    return where(mask != 0, data, Origins.zeros((1,) * len(data.shape)))


def _add(given: Operands) -> Origins:
    total = disjoint_sum(given.data(0), given.data(1))
    if total is None:
        raise NotAMovementError
    return total


def _difference_of_equals(given: Operands) -> Origins:
    return Origins.zeros(given.data().shape)


def _conv(given: Operands) -> Origins:
    data, positions = given.data(), taps(given.node, given.constants)
    rank = len(data.shape) - 2
    attributes = given.node.attributes
    pads = attributes.get_ints("pads", [0] * 2 * rank)
    strides, dilations = (
        attributes.get_ints("strides", [1] * rank),
        attributes.get_ints("dilations", [1] * rank),
    )
    reach = [(size - 1) * dilation for size, dilation in zip(given.numbers(1).shape[2:], dilations)]
    for axis in range(rank):
        data = data.pad(axis + 2, pads[axis], pads[axis + rank])
    counts = [(data.shape[axis + 2] - reach[axis] - 1) // strides[axis] + 1 for axis in range(rank)]
    result = Origins.zeros((*data.shape[:2], *counts))
    for tap in np.unique(positions, axis=0):
        moved = data
        for axis in range(rank):
            seen = tap[axis] * dilations[axis] + strides[axis] * np.arange(counts[axis])
            moved = moved.take(axis + 2, seen)
        mask = (positions == tap).all(1).reshape(-1, *(1,) * rank)
        result = where(mask, moved, result)
    return result


MOVEMENTS: dict[str, Callable[[Operands], Origins | list[Origins]]] = {
    "Identity": lambda given: given.data(),
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

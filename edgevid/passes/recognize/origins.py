"""The origins of a tensor's elements in a source tensor, through data movement.

Data movement does not change most axes (height, width), so not every element stores its index: an axis is a
product of *factors*, along each of which the index grows by a constant step, until an operator such as a
concatenation makes it irregular. A shift of ``(8, 256, 56, 56)`` thus takes a table of 8 x 256 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np


class Factor(NamedTuple):
    """``size`` positions, at least 2; the index grows by ``step`` from each to the next."""

    size: int
    step: int


@dataclass(frozen=True)
class Origins:
    """``index`` has an axis per factor, of the factor's size, or 1 where the index does not vary along it.

    Where ``index`` is 0 the tensor is zero; elsewhere it holds element ``index - 1 + sum(position * step)``
    of the source, in row-major order.
    """

    axes: tuple[tuple[Factor, ...], ...]
    index: np.ndarray

    @classmethod
    def of_source(cls, shape: Sequence[int]) -> Origins:
        """The source itself: each element is its own origin."""
        steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        axes = tuple((Factor(size, step),) if size > 1 else () for size, step in zip(shape, steps))
        return cls(axes, np.ones((1,) * sum(map(len, axes)), dtype=np.int64))

    @classmethod
    def zeros(cls, shape: Sequence[int]) -> Origins:
        axes = tuple((Factor(int(size), 0),) if size != 1 else () for size in shape)
        return cls(axes, np.zeros((1,) * sum(map(len, axes)), dtype=np.int64))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(factor.size for factor in axis) for axis in self.axes)

    @property
    def is_zero(self) -> bool:
        return not self.index.any()

    def elements(self) -> np.ndarray:
        """The index of each element, in the tensor's shape."""
        factors, index = _flat(self), self.index
        for position in range(len(factors)):
            factors, index = _write_out(factors, index, position)
        return index.reshape(self.shape)

    def reshape(self, shape: Sequence[int]) -> Origins:
        if 0 in shape:
            return Origins.zeros(shape)
        factors, index = _flat(self), self.index
        spans, end = [], 0
        for size in shape:
            start, remaining = end, size
            while remaining > 1:
                available = factors[end].size
                if remaining % available == 0:
                    remaining, end = remaining // available, end + 1
                elif available % remaining == 0:
                    factors, index = _split(factors, index, end, remaining)
                else:
                    factors, index = _merge(factors, index, end)
            spans.append((start, end))
        return Origins(tuple(tuple(factors[start:end]) for start, end in spans), index)

    def transpose(self, order: Sequence[int]) -> Origins:
        index_order = [k for axis in order for k in range(*self.span(axis))]
        return Origins(tuple(self.axes[axis] for axis in order), self.index.transpose(index_order))

    def take(self, axis: int, positions: Sequence[int]) -> Origins:
        """The slices at ``positions`` (each at least 0) of ``axis``, in that order."""
        count = len(positions)
        if count == 0 or 0 in self.shape:
            return Origins.zeros([*self.shape[:axis], count, *self.shape[axis + 1 :]])
        if not self.axes[axis]:
            return self.expand([*self.shape[:axis], count, *self.shape[axis + 1 :]])
        merged = self.merged(axis)
        k, _ = merged.span(axis)
        factors, index = _flat(merged), merged.index
        strides = np.diff(positions)
        if index.shape[k] == 1 and (count == 1 or (strides == strides[0]).all()):
            step = factors[k].step
            index = np.where(index == 0, 0, index + positions[0] * step)
            factor = Factor(count, step * int(strides[0]) if count > 1 else 0)
        else:
            index = _write_out(factors, index, k)[1].take(positions, axis=k)
            factor = Factor(count, 0)
        if count == 1:
            return merged._with_axis(axis, (), index.squeeze(k))
        return merged._with_axis(axis, (factor,), index)

    def expand(self, shape: Sequence[int]) -> Origins:
        """Repeat along axes of length 1, and along new axes in front, as numpy broadcasts."""
        if 0 in shape:
            return Origins.zeros(shape)
        wide = Origins(((),) * (len(shape) - len(self.axes)) + self.axes, self.index)
        for axis, size in enumerate(shape):
            if size > 1 and not wide.axes[axis]:
                k, _ = wide.span(axis)
                wide = wide._with_axis(axis, (Factor(int(size), 0),), np.expand_dims(wide.index, k))
        return wide

    def pad(self, axis: int, before: int, after: int) -> Origins:
        """Zeros on both sides of ``axis``."""
        blank = [
            Origins.zeros([*self.shape[:axis], size, *self.shape[axis + 1 :]]) for size in (before, after)
        ]
        return concat([blank[0], self, blank[1]], axis)

    def put(self, axis: int, positions: np.ndarray, updates: Origins) -> Origins:
        """Replace the slices at ``positions`` of ``axis`` by ``updates``."""
        size = self.shape[axis]
        order = np.arange(size)
        order[positions] = size + np.arange(len(positions))
        return concat([self, updates], axis).take(axis, order)

    def merged(self, axis: int) -> Origins:
        """The same with at most one factor in ``axis``."""
        start, end = self.span(axis)
        factors, index = _flat(self), self.index
        for _ in range(end - start - 1):
            factors, index = _merge(factors, index, start)
        return self._with_axis(axis, tuple(factors[start : min(end, start + 1)]), index)

    def span(self, axis: int) -> tuple[int, int]:
        """The range of axes of ``index`` that belong to ``axis``: start, and end (exclusive)."""
        start = sum(map(len, self.axes[:axis]))
        return start, start + len(self.axes[axis])

    def _with_axis(self, axis: int, factors: tuple[Factor, ...], index: np.ndarray) -> Origins:
        return Origins((*self.axes[:axis], factors, *self.axes[axis + 1 :]), index)


def concat(values: Sequence[Origins], axis: int) -> Origins:
    total, shape = sum(value.shape[axis] for value in values), list(values[0].shape)
    filled = [value for value in values if 0 not in value.shape]
    if not filled:
        return Origins.zeros([*shape[:axis], total, *shape[axis + 1 :]])
    if len(filled) == 1:
        return filled[0]
    columns = aligned([_as_column(value, axis) for value in filled], except_axis=axis)
    k, _ = columns[0].span(axis)
    lengths = [max(sizes) for sizes in zip(*(column.index.shape for column in columns))]
    indices = []
    for column in columns:
        lengths[k] = column.axes[axis][0].size
        indices.append(np.broadcast_to(column.index, lengths))
    return columns[0]._with_axis(axis, (Factor(total, 0),), np.concatenate(indices, axis=k))


def where(mask: np.ndarray, yes: Origins, no: Origins) -> Origins:
    """``yes`` where ``mask`` is true, else ``no``, broadcast together."""
    shape = np.broadcast_shapes(mask.shape, yes.shape, no.shape)
    if 0 in shape:
        return Origins.zeros(shape)
    yes, no = aligned([yes.expand(shape), no.expand(shape)])
    mask = mask.reshape((1,) * (len(shape) - mask.ndim) + mask.shape)
    lengths: list[int] = []
    for axis, factors in enumerate(yes.axes):
        first = mask.take([0], axis=axis)
        if mask.shape[axis] > 1 and (mask == first).all():
            mask = first
        lengths += [factor.size if mask.shape[axis] > 1 else 1 for factor in factors]
    return Origins(yes.axes, np.where(mask.reshape(lengths), yes.index, no.index))


def disjoint_sum(first: Origins, second: Origins) -> Origins | None:
    """The sum of both, None if somewhere neither is zero."""
    shape = np.broadcast_shapes(first.shape, second.shape)
    first, second = aligned([first.expand(shape), second.expand(shape)])
    if ((first.index != 0) & (second.index != 0)).any():
        return None
    return Origins(first.axes, first.index + second.index)


def aligned(values: Sequence[Origins], except_axis: int = -1) -> list[Origins]:
    """The same values with equal factors in each axis but ``except_axis``, so that their indices match."""
    values = list(values)
    for axis in range(len(values[0].axes)):
        sizes = {tuple(factor.size for factor in value.axes[axis]) for value in values if not value.is_zero}
        if axis != except_axis and len(sizes) > 1:
            values = [value.merged(axis) for value in values]
    model = next((value for value in values if not value.is_zero), values[0])
    # Zeros have no origin, so any factors describe them.
    for number, value in enumerate(values):
        if value.is_zero:
            axes = tuple(
                v if axis == except_axis else m for axis, (v, m) in enumerate(zip(value.axes, model.axes))
            )
            shape = [1] * sum(map(len, axes))
            values[number] = Origins(axes, np.zeros(shape, dtype=np.int64))
    for k in range(values[0].index.ndim):
        if len({_flat(value)[k].step for value in values}) > 1:
            values = [_replaced(value, *_write_out(_flat(value), value.index, k)) for value in values]
    return values


def _as_column(value: Origins, axis: int) -> Origins:
    """The same with ``axis`` as one written-out factor, even if its length is 1."""
    value = value.merged(axis)
    k, _ = value.span(axis)
    if not value.axes[axis]:
        return value._with_axis(axis, (Factor(1, 0),), np.expand_dims(value.index, k))
    return _replaced(value, *_write_out(_flat(value), value.index, k))


def _flat(value: Origins) -> list[Factor]:
    return [factor for axis in value.axes for factor in axis]


def _replaced(value: Origins, factors: list[Factor], index: np.ndarray) -> Origins:
    axes = tuple(tuple(factors[slice(*value.span(axis))]) for axis in range(len(value.axes)))
    return Origins(axes, index)


def _write_out(factors: list[Factor], index: np.ndarray, k: int) -> tuple[list[Factor], np.ndarray]:
    """The index along factor ``k`` as numbers instead of a step."""
    size, step = factors[k]
    if step == 0 and index.shape[k] == size:
        return factors, index
    ramp = (np.arange(size) * step).reshape([-1 if axis == k else 1 for axis in range(index.ndim)])
    return [*factors[:k], Factor(size, 0), *factors[k + 1 :]], np.where(index == 0, 0, index + ramp)


def _split(factors: list[Factor], index: np.ndarray, k: int, outer: int) -> tuple[list[Factor], np.ndarray]:
    """Factor ``k`` as one of size ``outer`` and one inside it."""
    size, step = factors[k]
    inner = size // outer
    lengths = (1, 1) if index.shape[k] == 1 else (outer, inner)
    split = [Factor(outer, step * inner), Factor(inner, step)]
    return [*factors[:k], *split, *factors[k + 1 :]], index.reshape(
        *index.shape[:k], *lengths, *index.shape[k + 1 :]
    )


def _merge(factors: list[Factor], index: np.ndarray, k: int) -> tuple[list[Factor], np.ndarray]:
    """Factor ``k`` and the next one merged, with a constant step if possible."""
    outer, inner = factors[k], factors[k + 1]
    size = outer.size * inner.size
    if index.shape[k] == index.shape[k + 1] == 1 and outer.step == inner.step * inner.size:
        length, step = 1, inner.step
    else:
        length, step = size, 0
        for position in (k, k + 1):
            factors, index = _write_out(factors, index, position)
    index = index.reshape(*index.shape[:k], length, *index.shape[k + 2 :])
    return [*factors[:k], Factor(size, step), *factors[k + 2 :]], index

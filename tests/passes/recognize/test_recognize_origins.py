"""Origins say of every element where it came from: what numpy does to a tensor of numbers, they do."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.passes.recognize.origins import Origins, concat, disjoint_sum, where


def check(origins: Origins, array: np.ndarray) -> None:
    assert origins.shape == array.shape
    np.testing.assert_array_equal(origins.elements(), array)


def reshaped(draw, origins, array):
    """Merge two axes, or take one apart."""
    shape = list(array.shape)
    axis = draw(st.integers(0, len(shape) - 1))
    if len(shape) > 1 and axis and draw(st.booleans()):
        shape[axis - 1 : axis + 1] = [shape[axis - 1] * shape[axis]]
    elif len(shape) < 6:
        divisors = [size for size in range(1, shape[axis] + 1) if shape[axis] % size == 0]
        outer = draw(st.sampled_from(divisors)) if divisors else 0
        shape[axis : axis + 1] = [outer, shape[axis] // outer] if outer else [0, 1]
    return origins.reshape(shape), array.reshape(shape)


def transposed(draw, origins, array):
    order = draw(st.permutations(range(array.ndim)))
    return origins.transpose(order), array.transpose(order)


def taken(draw, origins, array):
    axis = draw(st.integers(0, array.ndim - 1))
    size = array.shape[axis]
    if draw(st.booleans()) or size == 0:
        bounds = [draw(st.integers(0, size)), draw(st.integers(0, size)), draw(st.sampled_from((1, 2, -1)))]
        positions = list(range(size)[slice(*bounds)])
    else:
        positions = draw(st.lists(st.integers(0, size - 1), max_size=4))
    return origins.take(axis, positions), array.take(np.array(positions, dtype=int), axis=axis)


def padded(draw, origins, array):
    axis, before, after = (
        draw(st.integers(0, array.ndim - 1)),
        draw(st.integers(0, 2)),
        draw(st.integers(0, 2)),
    )
    pads = [(before, after) if number == axis else (0, 0) for number in range(array.ndim)]
    return origins.pad(axis, before, after), np.pad(array, pads)


def rolled(draw, origins, array):
    axis = draw(st.integers(0, array.ndim - 1))
    by = draw(st.integers(0, array.shape[axis]))
    parts = [origins.take(axis, range(by, array.shape[axis])), origins.take(axis, range(by))]
    return concat(parts, axis), np.roll(array, -by, axis)


def masked(draw, origins, array):
    shape = [draw(st.sampled_from((1, size))) for size in array.shape]
    mask = np.random.default_rng(draw(st.integers(0, 9))).random(shape) < 0.5
    other, numbers = transposed(draw, origins, array)
    if other.shape != origins.shape:
        other, numbers = Origins.zeros(array.shape), np.zeros_like(array)
    return where(mask, origins, other), np.where(mask, array, numbers)


def put(draw, origins, array):
    axis = draw(st.integers(0, array.ndim - 1))
    positions = np.array(draw(st.permutations(range(array.shape[axis]))), dtype=int)
    positions = positions[: draw(st.integers(0, len(positions)))]
    source = np.array(draw(st.permutations(range(array.shape[axis]))), dtype=int)[: len(positions)]
    changed = array.copy()
    changed[(slice(None),) * axis + (positions,)] = array.take(source, axis=axis)
    return origins.put(axis, positions, origins.take(axis, source)), changed


STEPS = (reshaped, transposed, taken, padded, rolled, masked, put)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_sequence_of_data_movement_matches_numpy(data):
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    origins, array = Origins.of_source(shape), np.arange(1, np.prod(shape) + 1).reshape(shape)
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=7)):
        origins, array = step(data.draw, origins, array)
        check(origins, array)
        if array.size > 10_000:
            break


def test_a_sum_is_data_movement_only_where_one_side_is_zero():
    x = Origins.of_source((4, 6))
    left, right = x.take(1, range(3)).pad(1, 0, 3), x.take(1, range(3, 6)).pad(1, 3, 0)
    check(disjoint_sum(left, right), x.elements())
    assert disjoint_sum(left, x) is None


def test_an_unchanged_axis_is_not_written_out():
    x = Origins.of_source((8, 256, 56, 56)).reshape((1, 8, 256, 56 * 56))
    later = x.take(1, range(1, 8)).pad(1, 0, 1)
    assert later.index.size == 8
    assert later.reshape((8, 256, 56, 56)).transpose((2, 3, 0, 1)).shape == (56, 56, 8, 256)

"""Samples come back bit for bit, in a few bytes each."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.benchmarks.store.series import pack, unpack


def bits(values):
    return struct.pack(f"{len(values)}d", *values)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_floats_come_back_bit_for_bit(values):
    assert bits(unpack(pack(values))) == bits(values)


@given(st.lists(st.integers(0, 10**13).map(lambda ns: ns / 1e6)))
def test_times_of_a_clock_come_back_bit_for_bit(values):
    assert bits(unpack(pack(values))) == bits(values)


def test_the_negative_zero_keeps_its_sign():
    assert bits(unpack(pack([-0.0, 1.0]))) == bits([-0.0, 1.0])


def test_what_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not a finite number"):
        pack([1.0, float("nan")])


def test_a_sample_of_a_clock_takes_three_bytes():
    values = [(20_000_000 + 7919 * i % 400_000) / 1e6 for i in range(1000)]
    assert len(pack(values)) <= 3 * len(values)

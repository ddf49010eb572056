"""The standalone shift is an exact copy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step
from edgevid.ops.temporal_shift import DIRECTIONS

pytestmark = pytest.mark.op_alone


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    directions=st.sampled_from(DIRECTIONS),
    frames=st.integers(1, 5),
    clips=st.integers(1, 2),
    channels=st.integers(1, 20),
    inner=st.lists(st.integers(1, 7), max_size=3),
    data=st.data(),
)
def test_any_rank_fold_and_direction(run_op, directions, frames, clips, channels, inner, data):
    first, second = directions
    fold = data.draw(st.integers(0, channels // (2 if second else 1)))
    x = np.random.default_rng(0).standard_normal((frames * clips, channels, *inner), dtype=np.float32)
    (y,) = run_op("TemporalShift", [x], frames=frames, fold=fold, first=first, second=second)
    np.testing.assert_array_equal(y, temporal_shift(x, frames, fold, first, second))


def test_a_large_image_is_shared_between_threads(run_op):
    x = np.random.default_rng(0).standard_normal((6, 40, 61, 67), dtype=np.float32)
    (y,) = run_op("TemporalShift", [x], frames=3, fold=5, first=1, second=-1)
    np.testing.assert_array_equal(y, temporal_shift(x, 3, 5, 1, -1))


def test_a_step_takes_the_state_and_gives_the_next(run_op):
    random = np.random.default_rng(0)
    x, state = (random.standard_normal(shape, dtype=np.float32) for shape in ((2, 7, 3, 5), (2, 3, 3, 5)))
    y, next_state = run_op("TemporalShiftStep", [x, state], outputs=2, fold=3)
    expected, expected_state = temporal_shift_step(x, state)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(next_state, expected_state)


def test_clips_that_are_not_whole_are_refused(run_op):
    x = np.zeros((5, 4, 2), np.float32)
    with pytest.raises(Exception, match="not whole clips"):
        run_op("TemporalShift", [x], frames=2, fold=1, first=1, second=-1)

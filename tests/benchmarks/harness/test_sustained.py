"""The sustained scenario: what it says of a device that becomes hot, and of one that does not."""

from __future__ import annotations

import pytest

from edgevid.benchmarks.harness.scenarios import SCENARIOS, sustained
from edgevid.benchmarks.harness.scenarios.scenario import Workload
from edgevid.benchmarks.harness.scenarios.sustained import Interval, throttling

MS = 1_000_000


def series(*pieces: tuple[int, float]) -> list[Interval]:
    """An interval a second: ``(count, p50 in ms)``."""
    values = [p50 for count, p50 in pieces for _ in range(count)]
    return [Interval(second, p50, None, None) for second, p50 in enumerate(values, 1)]


def test_a_device_that_keeps_its_pace_does_not_throttle():
    assert throttling(series((60, 10.0))) == {
        "first_p50_ms": 10.0,
        "steady_p50_ms": 10.0,
        "throttled_after_s": None,
    }


def test_the_time_to_throttling_is_when_it_became_slower_for_good():
    result = throttling(series((40, 10.0), (60, 13.0)))
    assert result["throttled_after_s"] == 40
    assert (result["first_p50_ms"], result["steady_p50_ms"]) == (10.0, 13.0)


def test_a_disturbance_that_passes_is_not_throttling():
    assert throttling(series((20, 10.0), (10, 20.0), (30, 10.0)))["throttled_after_s"] is None


def test_a_slow_end_of_a_moment_is_not_throttling():
    assert throttling(series((60, 10.0), (3, 20.0)))["throttled_after_s"] is None


def test_a_change_below_five_percent_is_not_throttling():
    assert throttling(series((40, 10.0), (60, 10.4)))["throttled_after_s"] is None


def test_nothing_is_said_of_a_run_shorter_than_a_second():
    assert throttling([])["steady_p50_ms"] is None


def test_latency_clock_and_temperature_are_kept_over_time_and_reading_them_is_paused(monkeypatch):
    now = 0

    def clock() -> int:
        return now

    def step() -> None:
        nonlocal now
        now += 100 * MS

    def temperatures() -> dict[str, float]:
        nonlocal now
        now += 50 * MS
        return {"cpu": 61.0, "gpu": 58.5}

    monkeypatch.setattr(sustained, "temperatures_c", temperatures)
    monkeypatch.setattr(sustained, "clock_mhz", lambda: 1500.0)
    timing = SCENARIOS["sustained"].run(Workload(step, lambda *_: None, clock), 4.0)
    assert set(timing.samples_ms) == {100.0}, "reading the sensors is in no sample"
    intervals = timing.details["sustained"]["intervals"]
    assert timing.paused_s == pytest.approx(0.05 * len(intervals))
    assert [(item["p50_ms"], item["clock_mhz"], item["temperature_c"]) for item in intervals] == [
        (100.0, 1500.0, 61.0)
    ] * len(intervals)
    assert len(intervals) == 3


def test_it_lasts_for_half_an_hour_unless_the_user_says():
    assert SCENARIOS["sustained"].duration_s == 1800

"""Energy from simulated meters whose true energy is known, and whether the stated uncertainty covers it.

Time is virtual: 100 measurements take a second. A load has an idle level, inferences of some length with
gaps, a slow drift, a step and noise; meters differ in what a reading is.
"""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.host.power.energy import Window, coverage
from edgevid.host.power.observation import Observation
from edgevid.host.power.sensor import Rail, Samples, Sensor, SensorError

TRIALS = 100
STEP_S = 1e-3
IDLE_S, SECONDS = 3.0, 10.0


class Load:
    """Power in steps of 1 ms; ``joules`` since its beginning. The window begins at some time after 6 s."""

    def __init__(self, random: np.random.Generator) -> None:
        self.window = Window(start := 6 + random.random(), start + SECONDS)
        self.idle = Window(2.5, 2.5 + IDLE_S)
        times = np.arange(0, 19, STEP_S)
        period, busy = random.uniform(0.004, 0.2), random.uniform(0.3, 0.95)
        running = (times > self.idle.end + 0.1) & (times < self.window.end + random.random())
        watts = 4.0 + 6 * running * ((times / period) % 1 < busy)
        watts += running * random.uniform(-1, 1) * np.sin(times * random.uniform(0.1, 3))
        watts += running * (times > self.window.start + random.uniform(0, SECONDS)) * random.uniform(-1, 2)
        self.watts = watts + random.normal(0, 0.2, len(times))
        self.cumulative = np.concatenate([[0], np.cumsum(self.watts) * STEP_S])

    def joules(self, time: float | np.ndarray) -> np.ndarray:
        return np.interp(time, np.arange(len(self.cumulative)) * STEP_S, self.cumulative)

    def net_joules(self) -> float:
        gross, idle = (self.joules(w.end) - self.joules(w.start) for w in (self.window, self.idle))
        return float(gross - idle * self.window.seconds / self.idle.seconds)


def read_times(load: Load, interval_s: float, random: np.random.Generator) -> np.ndarray:
    """One random time per interval, as the sampler does, and those that the probe asks for."""
    turns = np.arange(0.2, load.window.end, interval_s)
    marks = [load.idle.start, load.idle.end, load.window.start, load.window.end]
    asked = [mark + random.uniform(0, 0.002) for mark in marks]
    times = np.concatenate([turns + interval_s * random.random(len(turns)), asked])
    return np.sort(times[times <= asked[-1]])


def counter(load, random, update_s, step_j):
    """A counter that is ``update_s`` old at most, in steps."""
    times = read_times(load, 0.05, random)
    phase = update_s * random.random()
    shown = np.floor((times - phase) / update_s) * update_s + phase
    return times, np.floor(load.joules(shown) / step_j) * step_j


def momentary(load, random, update_s, step_w):
    """What the power is at the time of the reading."""
    times = read_times(load, 0.05, random)
    return times, np.round(load.watts[(times / STEP_S).astype(int)] / step_w) * step_w


def averaging(load, random, update_s, step_w):
    """The mean power of the last complete period."""
    times = read_times(load, 0.05, random)
    phase = update_s * random.random()
    ends = np.floor((times - phase) / update_s) * update_s + phase
    watts = (load.joules(ends) - load.joules(ends - update_s)) / update_s
    return times, np.round(watts / step_w) * step_w


def lines(load, random, update_s, step_w):
    """A meter that sends the mean power of each period at its end."""
    times = np.arange(update_s * (1 + random.random()), load.window.end, update_s)
    watts = (load.joules(times) - load.joules(times - update_s)) / update_s
    return times + 0.02 * random.random(len(times)), np.round(watts / step_w) * step_w


METERS = {
    "RAPL": (counter, 0.001, 61e-6),
    "NVML counter": (counter, 0.1, 1e-3),
    "INA3221": (momentary, 0.0, 0.04),
    "INA3221 of a large rail": (momentary, 0.0, 0.4),
    "averages of 0.4 s": (averaging, 0.4, 0.04),
    "NVML power": (averaging, 1.0, 1e-3),
    "meter of 5 lines/s": (lines, 0.2, 0.1),
    "meter of 1 line/s": (lines, 1.0, 0.01),
}


def measured(meter: str, load: Load, random: np.random.Generator) -> dict:
    read, update_s, step = METERS[meter]
    times, values = read(load, random, update_s, step)
    samples = Samples(times.tolist(), [values.tolist()])
    sensor = Sensor(
        meter, "board", (Rail("all", (0,), 1.0, step),), ("all",), {}, is_counter=read is counter,
        update_s=update_s, interval_s=0.02 if read is lines else 0.05, simulated=True,
    )  # fmt: skip
    return Observation(sensor, samples, load.window, load.idle).fields()


@pytest.mark.parametrize("meter", METERS)
def test_the_uncertainty_covers_the_true_energy_in_95_of_100_trials_and_is_not_idle_talk(meter):
    covered, ratios = 0, []
    for trial in range(TRIALS):
        random = np.random.default_rng(trial)
        load = Load(random)
        fields = measured(meter, load, random)
        error, bound = abs(fields["energy_j"] - load.net_joules()), fields["energy_j_uncertainty"]
        covered += error <= bound
        ratios.append((error / bound) ** 2)
    assert covered >= 95
    assert np.mean(ratios) ** 0.5 > 0.05, "a bound of 20 standard errors would be no statement"


def sensor_of(*rails: Rail, total: tuple[str, ...] = ("a",), **more) -> Sensor:
    return Sensor("fake", "board", rails, total, {}, simulated=True, **more)


def steady(watts: list[float], idle: Window | None = None, **more) -> dict:
    """Ten readings a second for 4 s; one list of watts per rail, 1 W less before 2 s."""
    times = [number / 10 for number in range(41)]
    columns = [[value - (time < 2) for time in times] for value in watts]
    rails = [Rail("abc"[column], (column,), 1.0, 0.01) for column in range(len(watts))]
    return Observation(sensor_of(*rails, **more), Samples(times, columns), Window(2, 4), idle).fields()


def test_power_is_gross_and_energy_is_without_the_idle_power():
    fields = steady([5.0], idle=Window(0, 1.5), update_s=0)
    assert fields["power_w"] == pytest.approx(5) and fields["idle_power_w"] == pytest.approx(4)
    assert fields["energy_j"] == pytest.approx(2)
    rounding = np.hypot(2 * coverage(21), 2 * coverage(16)) * 0.01 / np.sqrt(12)
    assert fields["energy_j_uncertainty"] == pytest.approx(rounding)
    assert fields["why_no_power"] == ""


def test_nothing_is_subtracted_where_idle_was_not_measured():
    fields = steady([5.0])
    assert fields["energy_j"] == pytest.approx(10) and fields["idle_power_w"] is None


def test_rails_outside_the_total_are_shown_and_not_added():
    fields = steady([5.0, 2.0, 3.0], total=("a", "c"))
    assert fields["power_w"] == pytest.approx(8)
    record = fields["power_sensor"]
    assert record["rails"] == {"a": pytest.approx(5), "b": pytest.approx(2), "c": pytest.approx(3)}
    assert (record["name"], record["scope"], record["samples"], record["simulated"]) == (
        "fake",
        "board",
        21,
        True,
    )


def test_without_a_rule_for_the_total_the_rails_remain():
    fields = steady([5.0, 2.0], total=(), why_no_total="it is not known which rails add up")
    assert fields["power_w"] is None and fields["energy_j"] is None
    assert fields["why_no_power"] == "it is not known which rails add up"
    assert fields["power_sensor"]["rails"] == {"a": pytest.approx(5), "b": pytest.approx(2)}
    assert fields["power_sensor"]["scope"] is None


def test_a_constant_0_is_no_power():
    with pytest.raises(SensorError, match="constant 0"):
        Observation(
            sensor_of(Rail("a", (0,), 1.0, 0.0)), Samples([0, 1, 2], [[0.0] * 3]), Window(0, 2)
        ).fields()


def test_a_window_that_is_too_short_is_said_to_be():
    with pytest.raises(SensorError, match="too few") as error:
        Observation(
            sensor_of(Rail("a", (0,), 1.0, 0.0)), Samples([0, 1, 2], [[1.0] * 3]), Window(0.1, 0.9)
        ).fields()
    assert "--duration" in error.value.remedy


def test_failed_reads_and_slow_sensors_are_warned_of():
    sensor = sensor_of(Rail("a", (0,), 1.0, 0.0), shortest_window_s=60)
    samples = Samples([0, 1, 2], [[1.0] * 3], failed=2, why="the bus is busy")
    slow, failed = Observation(sensor, samples, Window(0, 2)).fields()["warnings"]
    assert "--duration 60" in slow and "2 reads of fake failed" in failed and "bus is busy" in failed


def test_energy_that_its_uncertainty_hides_is_warned_of():
    (warning,) = steady([5.0], idle=Window(2, 4), update_s=0)["warnings"]
    assert "within its uncertainty" in warning and "--duration" in warning


def test_a_counter_that_goes_back_without_a_wrap_is_not_believed():
    sensor = sensor_of(Rail("a", (0,), 1.0, 0.0), is_counter=True)
    with pytest.raises(SensorError, match="went back"):
        Observation(sensor, Samples([0, 1, 2], [[5.0, 6.0, 1.0]]), Window(0, 2)).fields()


def test_few_samples_widen_the_bound_as_students_t_does():
    assert [coverage(n) for n in (3, 4, 11, 31)] == pytest.approx([4.30, 3.18, 2.23, 2.04], rel=0.04)
    assert coverage(10_000) == 2

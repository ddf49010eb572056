"""Power around a measurement in a worker, with an external meter that a thread plays."""

from __future__ import annotations

import threading

import pytest

from edgevid.benchmarks.harness.harness import measure
from edgevid.errors import BenchmarkError


@pytest.fixture
def meter(tmp_path):
    """A file to which a thread appends 5.5 W, 100 times a second."""
    file = tmp_path / "watts.csv"
    ended = threading.Event()

    def append():
        with file.open("w") as output:
            while not ended.wait(0.01):
                output.write("5.5\n")
                output.flush()

    thread = threading.Thread(target=append)
    thread.start()
    yield f"csv:{file}"
    ended.set()
    thread.join()


@pytest.mark.slow
def test_a_meter_that_was_asked_for_gives_power_idle_power_and_net_energy(bundle, worker_that, meter):
    result = measure(bundle, duration_s=0.5, worker=worker_that(), power=meter)
    assert (result["power_w"], result["idle_power_w"]) == (pytest.approx(5.5), pytest.approx(5.5))
    assert abs(result["energy_mj_per_clip"]) <= result["energy_mj_per_clip_uncertainty"]
    assert result["energy_mj_per_frame"] == pytest.approx(result["energy_mj_per_clip"] / 8, abs=1e-9)
    assert result["power_sensor"]["scope"] == "external meter" and result["why_no_power"] == ""
    assert result["power_sensor"]["idle_s"] == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("csv:/nonexistent/watts.csv", "start the program that writes it"),
        ("ina3221", r"with ina3221 \(INA3221: no power monitor of a Jetson"),
    ],
)
def test_power_that_was_asked_for_and_cannot_be_measured_is_an_error(bundle, worker_that, source, words):
    with pytest.raises(BenchmarkError, match=words):
        measure(bundle, duration_s=0.2, worker=worker_that(), power=source)

"""The process that samples: what it reads, where it runs, and that it never outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import simulated_boards as boards

from edgevid.errors import BenchmarkError
from edgevid.host.power import sampling
from edgevid.host.power.files import LocalFiles
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sampling import COMMAND, Sampling
from edgevid.host.power.sensor import Rail, Sensor, SensorError
from edgevid.host.probes import rapl

pytestmark = pytest.mark.slow  # in real time


def sensor_of(*files, pattern="", **more) -> Sensor:
    rails = tuple(Rail(str(column), (column,), 1.0, 1.0) for column in range(len(files)))
    source = {"files": [str(file) for file in files], "pattern": pattern}
    return Sensor("fake", "board", rails, ("0",), source, **more)


class Counter:
    """A thread that counts the microjoules of ``watts`` in a file; on a busy machine in larger steps.

    The file has at least ``shown_j`` and at most ``counted_j``.
    """

    def __init__(self, file, wrap_uj):
        self.watts, self.shown_j, self.counted_j = 5.0, 0.0, 0.0
        self._file, self._wrap_uj, self._ended = file, wrap_uj, threading.Event()
        self._thread = threading.Thread(target=self._count)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()

    def _count(self):
        before, joules, work = time.monotonic(), 0.0, self._file.with_suffix(".new")
        while not self._ended.wait(0.001):
            now = time.monotonic()
            joules += (now - before) * self.watts
            before, self.counted_j = now, joules
            work.write_text(f"{int(joules * 1e6) % self._wrap_uj}\n")
            os.replace(work, self._file)
            self.shown_j = joules


def test_a_counter_in_real_time_gives_the_energy_that_it_counted(tmp_path):
    """It starts again at 0 two or three times; idle is 5 W, the network adds 20 W."""
    wrap_uj = 10_000_000
    root = boards.write(tmp_path, boards.rapl(wrap_uj=wrap_uj))
    probe = SensorProbe("rapl", "RAPL", rapl.find, LocalFiles(root), idle_s=0.4)
    with Counter(root / "sys/class/powercap/intel-rapl:1/energy_uj", wrap_uj) as counter:
        time.sleep(0.05)
        probe.prepare()
        before, before_j = time.monotonic(), counter.shown_j
        with probe:
            counter.watts = 25.0
            begin, begin_j = time.monotonic(), counter.counted_j
            time.sleep(1.0)
            end, end_j = time.monotonic(), counter.shown_j
        after, after_j = time.monotonic(), counter.counted_j
    fields = probe.fields()
    assert fields["why_no_power"] == ""
    # The uncertainty is of 95 in 100 windows, which test_energy checks; one window may be among the others.
    net_j, idle_w, slack_j = fields["energy_j"], fields["idle_power_w"], 3 * fields["energy_j_uncertainty"]
    assert net_j + idle_w * (after - before) >= end_j - begin_j - slack_j
    assert net_j + idle_w * (end - begin) <= after_j - before_j + slack_j
    assert 0 < fields["idle_power_w"] < fields["power_w"]
    record = fields["power_sensor"]
    assert record["simulated"] and record["scope"] == "platform" and 10 < record["samples"] <= 40


def test_samples_come_from_another_core_at_random_times(tmp_path):
    (tmp_path / "power").write_text("7")
    sampler = Sampling(sensor_of(tmp_path / "power", interval_s=0.02))
    time.sleep(0.4)
    samples = sampler.samples()
    gaps = [after - before for before, after in zip(samples.times_s, samples.times_s[1:])]
    assert set(samples.columns[0]) == {7.0} and samples.failed == 0
    assert max(gaps) - min(gaps) > 0.005
    assert samples.cpu in [*sampling.cores_for_sampler()[:1], None]


def test_a_mark_is_read_at_once(tmp_path):
    (tmp_path / "power").write_text("7")
    sampler = Sampling(sensor_of(tmp_path / "power", interval_s=60))
    time.sleep(0.1)  # the first readings
    before = time.monotonic()
    sampler.mark()
    time.sleep(1.0)
    samples = sampler.samples()
    assert sum(before <= read < before + 0.9 for read in samples.times_s) == 1
    assert samples.times_s[-1] >= before + 1.0, "the last reading is after the end"


def test_a_read_that_fails_later_is_counted_and_told(tmp_path):
    file = tmp_path / "power"
    file.write_text("7")
    sampler = Sampling(sensor_of(file, interval_s=0.01))
    file.unlink()
    time.sleep(0.05)
    samples = sampler.samples()
    assert samples.failed >= 1 and "power cannot be read: No such file" in samples.why


def test_a_first_read_that_fails_is_an_error(tmp_path):
    with pytest.raises(SensorError, match="No such file"):
        Sampling(sensor_of(tmp_path / "none"))


def test_it_ends_when_its_parent_is_killed(tmp_path):
    (tmp_path / "power").write_text("7")
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]);"
        "from test_sampling import Sampling, sensor_of; sampler = Sampling(sensor_of(sys.argv[2]));"
        "print(sampler._process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", code, os.path.dirname(__file__), str(tmp_path / "power")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_needs_the_standard_library_alone():
    code = (
        f"import sys, runpy; sys.stdin = None\n"
        f"try: runpy.run_module({COMMAND[-1]!r})\n"
        "except AttributeError: pass\n"
        "ours = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in ours if not name.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.stdout == "['edgevid']\n", done.stderr


def missing(files, rails):
    raise SensorError("only root can read it", "run as root")


def test_a_sensor_that_cannot_be_read_is_a_warning_and_null():
    probe = SensorProbe("fake", "Fake", missing, idle_s=0)
    with probe:
        pass
    fields = probe.fields()
    assert fields["power_w"] is None and fields["why_no_power"] == "only root can read it"
    assert fields["warnings"] == ["power was not measured (only root can read it): run as root"]
    assert not probe.available().ok and probe.available().remedy == "run as root" and probe.exists()


def test_and_an_error_where_power_was_asked_for():
    with (
        pytest.raises(BenchmarkError, match=r"only root can read it.*: run as root"),
        SensorProbe("fake", "Fake", missing, idle_s=0).configured(required=True),
    ):
        pytest.fail("the window must not begin")


def test_power_without_a_total_is_none_where_it_was_asked_for(tmp_path):
    (tmp_path / "power").write_text("7")
    sensor = replace(sensor_of(tmp_path / "power"), total=(), why_no_total="which rails add up is not known")
    probe = SensorProbe("fake", "Fake", lambda files, rails: sensor, idle_s=0)
    with pytest.raises(BenchmarkError, match="which rails add up is not known"):
        probe.configured(required=True).prepare()


def test_after_an_error_in_the_window_the_sampler_is_gone(tmp_path):
    (tmp_path / "power").write_text("7")
    probe = SensorProbe("fake", "Fake", lambda files, rails: sensor_of(tmp_path / "power"), idle_s=0)
    with pytest.raises(ZeroDivisionError), probe:
        pid = probe._sampling._process.pid
        raise ZeroDivisionError
    assert not is_running(pid)

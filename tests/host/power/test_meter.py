"""An external meter: lines that a program appends, a serial line sends, or a server answers."""

from __future__ import annotations

import contextlib
import http.server
import math
import os
import threading
import time

import pytest

from edgevid.errors import BenchmarkError
from edgevid.host.power.files import LocalFiles
from edgevid.host.power.meter import meter_probe
from edgevid.host.power.meter_lines import Arrivals, watts
from edgevid.host.power.sensor import Samples

IDLE_W = 2.0


def true_watts(seconds: float) -> float:
    """A load that swings between 6 and 10 W."""
    return 8 + 2 * math.sin(6 * seconds)


@contextlib.contextmanager
def repeated(action, interval_s):
    ended = threading.Event()

    def run():
        while not ended.wait(interval_s):
            action()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def measured(probe, begin=lambda: None) -> dict:
    probe.prepare()
    with probe:
        begin()
        time.sleep(0.6)
    return probe.fields()


@pytest.fixture
def server():
    """Serves the watts of ``server.watts()``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{self.server.watts():.3f}\n".encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_meter_over_http_gives_the_true_energy_within_its_uncertainty(server):
    for _ in range(5):
        began = []
        server.watts = lambda began=began: true_watts(time.monotonic() - began[0]) if began else IDLE_W
        probe = meter_probe(f"http://127.0.0.1:{server.server_address[1]}/watts", idle_s=0.5)
        probe.prepare()
        with probe:
            began.append(time.monotonic())
            time.sleep(1.5)
            seconds = time.monotonic() - began[0]
        fields = probe.fields()
        true_j = 8 * seconds + 2 * (1 - math.cos(6 * seconds)) / 6 - IDLE_W * seconds
        assert fields["idle_power_w"] == pytest.approx(IDLE_W, abs=0.01)
        # The uncertainty is of 95 in 100 windows, which test_energy checks; this may be among the others.
        assert abs(fields["energy_j"] - true_j) < 3 * fields["energy_j_uncertainty"]
        assert fields["power_sensor"]["scope"] == "external meter" and not fields["power_sensor"]["simulated"]
        if fields["energy_j_uncertainty"] < 0.6 * true_j:
            return
    # A busy machine may take too few samples in a window.
    pytest.fail("the uncertainty was large in each of five windows")


def test_the_finest_decimal_is_the_resolution():
    sensor = meter_probe("http://user:secret@meter/").find(LocalFiles(), ())
    for values, step in (([5.0, 10.0], 1), ([5.0, 5.25], 0.01), ([1e-05, 2.0], 1e-05)):
        (rail,) = sensor.refine(sensor, Samples([0.0, 0.5], [values])).rails
        assert rail.resolution == pytest.approx(step)
    assert "secret" not in sensor.describe()


def test_lines_that_a_program_appends_are_read(tmp_path):
    file = tmp_path / "meter.csv"
    file.write_text("watts\n900\n")  # of before

    def append():
        with file.open("a") as output:
            output.write("5.5\n")

    with repeated(append, 0.02):
        fields = measured(meter_probe(f"csv:{file}", idle_s=0.2))
    assert fields["power_w"] == pytest.approx(5.5) and fields["energy_j"] == pytest.approx(0, abs=1e-9)
    assert fields["energy_j_uncertainty"] > 0, "0.1 W is the finest step that these lines show"


def test_a_serial_line_is_read():
    ours, theirs = os.openpty()
    try:
        with repeated(lambda: os.write(ours, b"12 W\r\n"), 0.02):
            fields = measured(meter_probe(f"serial:{os.ttyname(theirs)}:115200", idle_s=0.2))
    finally:
        os.close(ours)
        os.close(theirs)
    assert fields["power_w"] == pytest.approx(12)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("csv:", "not the address of a power meter"),
        ("tcp:host", "use csv:PATH, serial:DEVICE"),
        ("http:///path", "not the address"),
        ("serial:/dev/ttyUSB0:12345", "'12345' is no baud rate"),
    ],
)
def test_an_address_that_is_none_is_refused(spec, words):
    with pytest.raises(BenchmarkError, match=words):
        meter_probe(spec)


def test_a_file_that_is_missing_is_an_error(tmp_path):
    probe = meter_probe(f"csv:{tmp_path / 'none'}")
    with pytest.raises(BenchmarkError, match=r"there is no file .*: start the program"):
        probe.prepare()


def test_an_answer_without_a_number_is_an_error(server):
    server.watts = lambda: math.nan
    with pytest.raises(BenchmarkError, match="the meter's answer has no number"):
        meter_probe(f"http://127.0.0.1:{server.server_address[1]}/").prepare()


def test_a_line_is_one_number():
    assert [watts(line) for line in ("5", " -0.5 W", "1.5e1\r", "watts", "")] == [5, -0.5, 15, None, None]
    with pytest.raises(ValueError, match="several numbers: '12,5'"):
        watts("12,5")


def test_lines_that_arrive_together_are_spread_over_the_time_before():
    arrivals = Arrivals()
    arrivals.before_ns = time.monotonic_ns() - 3_000_000_000
    (t1, a), (t2, b), (t3, c) = arrivals.rows(b"1\n2\n3\n4")
    assert (a, b, c) == ([1], [2], [3]) and arrivals.partial == b"4"
    assert t3 - t2 == t2 - t1 == pytest.approx(1e9, rel=0.01)

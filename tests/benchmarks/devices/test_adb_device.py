"""A simulated device (``simulated_adbd``) behind the real adb client of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import simulated_adbd

from edgevid.benchmarks.devices import device_at
from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.harness.protocol import Request
from edgevid.errors import BenchmarkError


@pytest.fixture(scope="module")
def adb_variables():
    if simulated_adbd.WHY_NOT:
        pytest.skip(simulated_adbd.WHY_NOT)
    with simulated_adbd.adb_server() as variables:
        yield variables


@pytest.fixture
def connect(adb_variables, monkeypatch, tmp_path):
    """``connect(name)`` plugs in a simulated device."""
    for name, value in adb_variables.items():
        monkeypatch.setenv(name, value)
    devices = []

    def plug_in(name: str, trusts: bool = True) -> simulated_adbd.Device:
        folder = tmp_path / name
        folder.mkdir()
        device = simulated_adbd.Device(folder, trusts)
        devices.append(device)
        simulated_adbd.adb(adb_variables, "connect", device.serial)
        return device

    yield plug_in
    for device in devices:
        simulated_adbd.adb(adb_variables, "disconnect", device.serial)
        device.close()


def test_a_bundle_is_pushed_and_run_there(connect, simulated, bundle):
    phone = connect("phone")
    phases: list[str] = []
    address = f"adb://{phone.serial}"
    request = Request(str(bundle.path), "offline", 0.1, None, address)
    with device_at(address) as device:
        result = device.run(request, lambda event: phases.append(event["phase"]))
    assert result["environment"]["address"] == address
    (there,) = (phone.folder / ".cache" / "edgevid" / "board" / "bundles").iterdir()
    for name in bundle.manifest.files:
        assert (there / name).read_bytes() == (bundle.path / name).read_bytes()
    assert any(phase.startswith("sending") for phase in phases) and phases[-1] == "measuring"
    assert not list(phone.folder.rglob("upload*")), "what was uploaded was unpacked"
    phases.clear()
    with device_at("adb://") as device:  # the only one
        device.run(request, lambda event: phases.append(event["phase"]))
    assert not any(phase.startswith("sending") for phase in phases)


@pytest.mark.slow
def test_the_real_worker_measures_there(connect, running_bundle, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", sys.executable)
    phone = connect("board")
    result = measure(running_bundle.path, duration_s=0.2, threads=1, device=f"adb://{phone.serial}")
    assert len(result["samples_ms"]) > 10


def test_a_device_that_is_not_ready_is_a_line_each(connect):
    def refusal(address: str) -> str:
        with device_at(address) as device, pytest.raises(BenchmarkError) as refused:
            device.finished()
        return str(refused.value)

    assert "adb sees no device at all (connected: none)" in refusal("adb://")
    first = connect("first")
    assert f"adb sees no device R58M12 (connected: {first.serial}): plug it in" in refusal("adb://R58M12")
    assert "run 'adb connect 10.0.0.1:5555'" in refusal("adb://10.0.0.1:5555")
    connect("second")
    assert "adb sees several devices" in refusal("adb://")
    stranger = connect("stranger", trusts=False)
    assert "unlock it and accept USB debugging" in refusal(f"adb://{stranger.serial}")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("offline", "adb reconnect offline"),
        (
            "no permissions (missing udev rules?); see [http://developer.android.com]",
            "android-sdk-platform-tools",
        ),
        ("recovery", "restart it"),
    ],
)
def test_other_states_are_explained(state, words, tmp_path, monkeypatch):
    """Simulated client: its list of devices only."""
    program = tmp_path / "adb"
    program.write_text(f"#!/bin/sh\necho 'List of devices attached'\nprintf 'R58\\t{state}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with device_at("adb://R58") as device, pytest.raises(BenchmarkError, match=words):
        device.finished()


def test_a_computer_without_adb_is_told_what_to_install(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with device_at("adb://R58") as device, pytest.raises(BenchmarkError, match="apt install adb"):
        device.finished()
    with device_at("ssh://nano") as device, pytest.raises(BenchmarkError, match="apt install openssh-client"):
        device.finished()

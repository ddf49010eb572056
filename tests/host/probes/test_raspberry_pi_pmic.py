"""The PMIC of a Raspberry Pi 5, simulated by a program that prints what vcgencmd does."""

from __future__ import annotations

import pytest
import simulated_boards as boards

from edgevid.host.power.files import LocalFiles
from edgevid.host.power.sensor import NoSensorError, SensorError
from edgevid.host.probes import raspberry_pi_pmic


@pytest.fixture
def vcgencmd(tmp_path, monkeypatch):
    """Puts a program of that name on the path, which runs the given shell commands."""

    def vcgencmd(script: str) -> None:
        file = tmp_path / "bin" / "vcgencmd"
        boards.write(tmp_path, {"bin/vcgencmd": f"#!/bin/sh\n{script}\n"})
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")

    return vcgencmd


@pytest.fixture
def pi(tmp_path):
    model = "Raspberry Pi 5 Model B Rev 1.0"
    return boards.write(tmp_path / "pi", boards.device_tree("raspberrypi,5-model-b", model=model))


def test_the_total_is_the_sum_of_the_rails_with_a_current(pi, vcgencmd, read_once):
    vcgencmd(f"cat <<'END'\n{boards.pmic_text()}\nEND")
    sensor, values = read_once(raspberry_pi_pmic.PROBE, pi)
    assert set(values) == set(sensor.total) == set(boards.PMIC)
    assert sum(values.values()) == pytest.approx(sum(a * v for a, v in boards.PMIC.values()))
    assert sensor.scope == "PMIC rails, without the 5 V input"


def test_a_pi_5_that_may_not_ask_is_an_error_with_the_remedy(pi, vcgencmd):
    vcgencmd('echo "Can\'t open device file: /dev/vcio" >&2; exit 1')
    with pytest.raises(SensorError, match="/dev/vcio") as error:
        raspberry_pi_pmic.find(LocalFiles(pi))
    assert "group 'video'" in error.value.remedy


def test_an_older_pi_has_no_sensor(tmp_path, vcgencmd):
    root = boards.write(tmp_path, boards.device_tree("raspberrypi,4-model-b", model="Raspberry Pi 4 Model B"))
    vcgencmd("echo 'error=1 error_msg=\"Command not registered\"'; exit 255")
    with pytest.raises(NoSensorError, match="Raspberry Pi 4 Model B cannot read it"):
        raspberry_pi_pmic.find(LocalFiles(root))


def test_another_computer_is_no_pi(tmp_path):
    with pytest.raises(NoSensorError, match="not a Raspberry Pi"):
        raspberry_pi_pmic.find(LocalFiles(tmp_path))

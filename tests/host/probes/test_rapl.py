"""RAPL on simulated zones: what is inside what, and how a counter starts again."""

from __future__ import annotations

import pytest
import simulated_boards as boards

from edgevid.host.power.files import LocalFiles
from edgevid.host.power.sensor import NoSensorError, Samples, SensorError, unwrapped
from edgevid.host.probes import rapl


def test_the_platform_is_the_total_where_there_is_one(tmp_path, read_once):
    sensor, values = read_once(rapl.PROBE, boards.write(tmp_path, boards.rapl()))
    assert (sensor.scope, sensor.total) == ("platform", ("psys (intel-rapl:1)",))
    assert {"package-0 (intel-rapl:0)", "core (intel-rapl:0:0)", "dram (intel-rapl:0:1)"} < set(values)


def test_else_packages_and_memories_of_all_sockets_without_their_cores(tmp_path, read_once):
    sensor, values = read_once(rapl.PROBE, boards.write(tmp_path, boards.rapl(psys=False, sockets=2)))
    assert sensor.scope == "package + dram"
    assert [label.split()[0] for label in sensor.total] == ["package-0", "package-1", "dram", "dram"]
    assert sum(values[label] for label in sensor.total) == 2 + 4 + 5 + 7


def test_the_package_over_another_bus_is_the_same_package(tmp_path, read_once):
    _, values = read_once(rapl.PROBE, boards.write(tmp_path, boards.rapl()))
    assert not any("mmio" in label for label in values)


def test_a_zone_inside_its_packages_folder_alone_is_found(tmp_path, read_once):
    files = {
        name.replace("/intel-rapl:0:", "/intel-rapl:0/intel-rapl:0:"): text
        for name, text in boards.rapl().items()
    }
    _, values = read_once(rapl.PROBE, boards.write(tmp_path, files))
    assert "dram (intel-rapl:0:1)" in values


def test_a_platform_that_does_not_count_is_left_out(tmp_path, read_once):
    files = boards.rapl() | {"sys/class/powercap/intel-rapl:1/energy_uj": "0"}
    sensor, _ = read_once(rapl.PROBE, boards.write(tmp_path, files))
    assert sensor.scope == "package + dram"


def test_a_counter_goes_on_where_it_starts_again(tmp_path, read_once):
    assert unwrapped([90.0, 99.0, 5.0, 50.0, 3.0], 100) == [90, 99, 105, 150, 203]
    sensor, _ = read_once(rapl.PROBE, boards.write(tmp_path, boards.rapl(wrap_uj=100_000_000)))
    (rail,) = sensor.total_rails()
    columns: list[list[float]] = [[0.0] * 3 for _ in range(rail.columns[0])] + [[98e6, 1e6, 5e6]]
    values = rail.values(Samples([0.0, 1.0, 2.0], columns))
    assert [value - values[0] for value in values] == pytest.approx([0, 3, 7])


class RootOnly(LocalFiles):
    def read(self, path):
        if path.endswith("energy_uj"):
            raise PermissionError(13, "Permission denied", path)
        return super().read(path)


def test_a_counter_that_only_root_may_read_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(SensorError, match="only root can read energy_uj") as error:
        rapl.find(RootOnly(boards.write(tmp_path, boards.rapl())))
    assert "chmod a+r" in error.value.remedy


def test_a_machine_without_zones_has_no_sensor(tmp_path):
    with pytest.raises(NoSensorError, match="RAPL: no zone"):
        rapl.find(LocalFiles(tmp_path))

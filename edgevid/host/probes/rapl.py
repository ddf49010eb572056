"""Energy counters of Intel and AMD processors (the kernel's Documentation/power/powercap/powercap.rst)."""

from __future__ import annotations

from pathlib import PurePosixPath

from edgevid.host.power.files import Files
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, Rail, Sensor, SensorError

ROOT = "sys/class/powercap"
UNIT_J = 61e-6
"""The usual step of the counter, 2^-14 J."""
UPDATE_S = 0.001
REMEDY = (
    "run as root, or allow it until the next boot: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
)


def find(files: Files, rails: tuple[str, ...] = ()) -> Sensor:
    """Every zone that counts; since Linux 5.10 only root can read them (CVE-2020-8694).

    The total is the zone of the whole platform (psys), else the sum of the packages and their memories:
    core and uncore are inside their package.
    """
    # Not intel-rapl-mmio: its package is the same one, read over another bus.
    found = files.glob(f"{ROOT}/intel-rapl:*") + files.glob(f"{ROOT}/intel-rapl:*/intel-rapl:*:*")
    zones = sorted({PurePosixPath(path).name: path for path in found}.items())
    counters: list[Rail] = []
    paths: list[str] = []
    for zone, path in zones:
        try:
            name = files.read(f"{path}/name")
            if float(files.read(f"{path}/energy_uj")) == 0:  # some firmwares list psys and do not count
                continue
            wrap = float(files.read(f"{path}/max_energy_range_uj"))
        except PermissionError:
            raise SensorError("RAPL: only root can read energy_uj", REMEDY) from None
        except (OSError, ValueError) as error:
            raise SensorError(
                f"RAPL: {path} cannot be read ({error})", "load the module intel_rapl_msr"
            ) from None
        counters.append(Rail(f"{name} ({zone})", (len(paths),), 1e-6, UNIT_J, wrap))
        paths.append(f"{path}/energy_uj")
    if not counters:
        raise NoSensorError(f"RAPL: no zone that counts under /{ROOT}, as in most virtual machines")
    scope, total = _total([rail.label for rail in counters])
    return Sensor(
        "RAPL",
        scope,
        tuple(counters),
        total,
        files.source(paths),
        is_counter=True,
        update_s=UPDATE_S,
        simulated=files.simulated,
        why_no_total="RAPL: there is neither psys nor a package among the zones",
    )


def _total(labels: list[str]) -> tuple[str, tuple[str, ...]]:
    platform = tuple(label for label in labels if label.startswith("psys"))
    if len(platform) == 1:
        return "platform", platform
    packages = tuple(label for label in labels if label.startswith("package"))
    memories = tuple(label for label in labels if label.startswith("dram"))
    return ("package + dram" if memories else "package"), (packages + memories if packages else ())


PROBE = SensorProbe("rapl", "Energy counters of Intel and AMD processors", find)

"""NVIDIA GPUs, simulated by a module in place of nvidia-ml-py: what each reports, and in which words not."""

from __future__ import annotations

import os
import textwrap
import time

import pytest

from edgevid.host.power.files import LocalFiles
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, SensorError
from edgevid.host.probes import nvml

PYNVML = """
import time
from types import SimpleNamespace as Value
GPUS = {gpus}
NVML_FI_DEV_POWER_INSTANT = 186
class NVMLError(Exception): pass
class NVMLError_NotSupported(NVMLError): pass
class NVMLError_LibraryNotFound(NVMLError): pass
def nvmlInit():
    if not GPUS: raise NVMLError_LibraryNotFound("NVML Shared Library Not Found")
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return len(GPUS)
def nvmlDeviceGetHandleByIndex(index): return GPUS[index]
def nvmlDeviceGetHandleByUUID(uuid): return next(gpu for gpu in GPUS if gpu["uuid"] == uuid)
def nvmlDeviceGetName(gpu): return "Simulated GPU"
def nvmlDeviceGetUUID(gpu): return gpu["uuid"]
def _reports(gpu, what):
    if what in gpu.get("broken", ""): raise NVMLError("Insufficient Permissions")
    if what not in gpu["reports"]: raise NVMLError_NotSupported("Not Supported")
def nvmlDeviceGetMigMode(gpu):
    _reports(gpu, "mig")
    return (1, 1)
def nvmlDeviceGetTotalEnergyConsumption(gpu):
    _reports(gpu, "energy")
    return int(time.monotonic() * 100_000)
def nvmlDeviceGetFieldValues(gpu, fields):
    return [Value(nvmlReturn=0 if "instant" in gpu["reports"] else 3, value=Value(uiVal=90_000))]
def nvmlDeviceGetPowerUsage(gpu):
    _reports(gpu, "power")
    return 80_000
"""


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Puts GPUs there, each of which reports the given things, here and in the sampler."""

    def gpus(*reports, **more):
        devices = [{"uuid": f"GPU-{n}", "reports": what, **more} for n, what in enumerate(reports)]
        (tmp_path / "pynvml.py").write_text(textwrap.dedent(PYNVML).replace("{gpus}", repr(devices)))
        monkeypatch.delitem(__import__("sys").modules, "pynvml", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        monkeypatch.delenv(nvml.VISIBLE, raising=False)
        return tmp_path

    return gpus


@pytest.mark.parametrize(
    ("reports", "is_counter", "update_s", "watts"),
    [("energy power", True, 0.1, None), ("instant power", False, 0.1, 90), ("power", False, 1.0, 80)],
)
def test_the_counter_is_preferred_then_instant_power_then_its_average(
    reports, is_counter, update_s, watts, gpus, read_once
):
    sensor, values = read_once(nvml.PROBE, gpus(reports))
    assert (sensor.is_counter, sensor.update_s, sensor.scope) == (is_counter, update_s, "GPU")
    if watts:
        assert values == {"Simulated GPU #0": watts}


def test_all_gpus_that_cuda_may_use_are_added(gpus, monkeypatch, read_once):
    root = gpus("power", "power", "power")
    sensor, values = read_once(nvml.PROBE, root)
    assert sensor.scope == "3 GPUs" and sum(values[label] for label in sensor.total) == 240
    for visible in ("1,2", "GPU-1, GPU-2"):
        monkeypatch.setenv(nvml.VISIBLE, visible)
        sensor, _ = read_once(nvml.PROBE, root)
        assert [uuid for uuid, _ in sensor.source["nvml"]] == ["GPU-1", "GPU-2"]
    monkeypatch.setenv(nvml.VISIBLE, "")
    with pytest.raises(NoSensorError, match="no GPU"):
        nvml.find(LocalFiles(root))


def test_a_partitioned_gpu_has_no_total_of_ours(gpus, read_once):
    sensor, values = read_once(nvml.PROBE, gpus("power mig"))
    assert sensor.total == () and values == {"Simulated GPU #0": 80} and "MIG" in sensor.why_no_total


def test_a_gpu_that_reports_nothing_and_one_that_refuses(gpus):
    root = gpus("")
    with pytest.raises(NoSensorError, match="not supported"):
        nvml.find(LocalFiles(root))
    root = gpus("energy", broken="energy")
    with pytest.raises(SensorError, match="Insufficient Permissions"):
        nvml.find(LocalFiles(root))


def test_without_a_driver_there_is_no_sensor_and_without_the_library_a_remedy(gpus, monkeypatch, tmp_path):
    root = gpus()
    with pytest.raises(NoSensorError, match="no NVIDIA driver"):
        nvml.find(LocalFiles(root))
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(NoSensorError, match="no NVIDIA driver"):
        nvml.find(LocalFiles(root))
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: 600")
    with pytest.raises(SensorError, match="nvidia-ml-py is not installed") as error:
        nvml.find(LocalFiles(root))
    assert "edgevid[power]" in error.value.remedy


def test_its_energy_is_sampled_from_another_process(gpus):
    probe = SensorProbe("nvml", "NVML", nvml.find, LocalFiles(gpus("energy")), idle_s=0.3)
    with probe:
        time.sleep(0.4)
    fields = probe.fields()
    assert fields["power_w"] == pytest.approx(100, rel=0.02) and fields["why_no_power"] == ""
    assert abs(fields["energy_j"]) <= fields["energy_j_uncertainty"]

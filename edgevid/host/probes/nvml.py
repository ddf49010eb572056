"""The energy counters, or else the power, of NVIDIA GPUs, by the driver's library NVML (nvidia-ml-py)."""

from __future__ import annotations

import os
from typing import Any

from edgevid.host.power.files import Files
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, Rail, Sensor, SensorError

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNTER_UPDATE_S = 0.1
AVERAGE_S = 1.0
"""``nvmlDeviceGetPowerUsage`` is an average over this time from Ampere on."""


def find(files: Files, rails: tuple[str, ...] = ()) -> Sensor:
    """Each GPU that CUDA may use here; the total is their sum."""
    nvml = _nvml(files)
    try:
        gpus = _visible([nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())], nvml)
        if not gpus:
            raise NoSensorError("NVML: the driver shows no GPU")
        kinds = {_kind(gpu, nvml) for gpu in gpus}
        kind = "energy" if kinds == {"energy"} else "power" if "power" in kinds else "instant"
        names = [_text(nvml.nvmlDeviceGetName(gpu)) for gpu in gpus]
        source = {"nvml": [[_text(nvml.nvmlDeviceGetUUID(gpu)), kind] for gpu in gpus]}
        shared = any(_is_partitioned(gpu, nvml) for gpu in gpus)
    except nvml.NVMLError as error:
        if isinstance(error, nvml.NVMLError_NotSupported):
            raise NoSensorError("NVML: this GPU reports neither energy nor power ('not supported')") from None
        raise SensorError(f"NVML: {error}", "see whether nvidia-smi works") from None
    finally:
        nvml.nvmlShutdown()
    measured = tuple(Rail(f"{name} #{i}", (i,), 1e-3, 1e-3) for i, name in enumerate(names))
    return Sensor(
        "NVML",
        "GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs",
        measured,
        () if shared else tuple(rail.label for rail in measured),
        source,
        is_counter=kind == "energy",
        update_s=AVERAGE_S if kind == "power" else COUNTER_UPDATE_S,
        simulated=files.simulated,
        why_no_total="a GPU is partitioned (MIG), and its power is that of all its instances together",
    )


def _nvml(files: Files) -> Any:
    """The library, initialized."""
    try:
        import pynvml
    except ModuleNotFoundError:
        if files.glob("proc/driver/nvidia/version"):
            raise SensorError("NVML: nvidia-ml-py is not installed", "pip install 'edgevid[power]'") from None
        raise NoSensorError("NVML: there is no NVIDIA driver") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoSensorError(f"NVML: there is no NVIDIA driver with NVML ({error})") from None
    return pynvml


def _visible(gpus: list[Any], nvml: Any) -> list[Any]:
    """Those that ``CUDA_VISIBLE_DEVICES`` names, by number or UUID; all of them if it is not set."""
    if VISIBLE not in os.environ:
        return gpus
    wanted = [name.strip() for name in os.environ[VISIBLE].split(",")]
    uuids = [_text(nvml.nvmlDeviceGetUUID(gpu)) for gpu in gpus]
    return [
        gpu
        for number, (gpu, uuid) in enumerate(zip(gpus, uuids))
        if any(name == str(number) or (name.startswith("GPU-") and uuid.startswith(name)) for name in wanted)
    ]


def _kind(gpu: Any, nvml: Any) -> str:
    """How to read it: the energy counter (Volta and later), else instant power, else average power."""
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
        return "energy"
    except nvml.NVMLError_NotSupported:
        pass
    try:
        (value,) = nvml.nvmlDeviceGetFieldValues(gpu, [nvml.NVML_FI_DEV_POWER_INSTANT])
        if not value.nvmlReturn:
            return "instant"
    except nvml.NVMLError:
        pass
    nvml.nvmlDeviceGetPowerUsage(gpu)
    return "power"


def _is_partitioned(gpu: Any, nvml: Any) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(gpu)
    except nvml.NVMLError:
        return False
    return bool(current)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


PROBE = SensorProbe("nvml", "NVIDIA GPUs, by their driver", find, automatic=False)

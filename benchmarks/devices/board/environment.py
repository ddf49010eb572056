"""What a board without edgevid's packages can tell about itself, from its files."""

import os
import platform
import time


def observe():
    """Facts by the keys of ``edgevid.host.environment.observe``; what cannot be read is None."""
    processor = _processor()
    return {
        "board": _text("/sys/firmware/devicetree/base/model"),
        "cpu": {
            "model": processor.get("model name") or _arm(processor),
            "architecture": platform.machine(),
            "logical_cores": os.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "frequency_mhz": _scaled("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"),
        },
        "temperature_c": _temperatures() or None,
        "load_average": list(os.getloadavg()),
        "memory_total_mib": _memory("MemTotal"),
        "memory_available_mib": _memory("MemAvailable"),
        "os": _system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date_utc": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    }


def _text(path):
    try:
        with open(path, "rb") as file:
            return file.read(10000).decode(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _scaled(path):
    try:
        return int(_text(path) or "") / 1000
    except ValueError:
        return None


def _pairs(path, separator):
    text = _text(path) or ""
    rows = (line.partition(separator) for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip().strip('"') for key, _, value in rows}


def _processor():
    return _pairs("/proc/cpuinfo", ":")


def _arm(processor):
    part = processor.get("CPU part")
    implementer = processor.get("CPU implementer", "?")
    return f"Arm implementer {implementer} part {part}" if part else None


def _memory(key):
    value = _pairs("/proc/meminfo", ":").get(key, "").split()
    return int(value[0]) / 1024 if value else None


def _system():
    return _pairs("/etc/os-release", "=").get("PRETTY_NAME") or platform.system()


def _temperatures():
    temperatures = {}
    for number in range(32):
        zone = f"/sys/class/thermal/thermal_zone{number}"
        degrees = _scaled(zone + "/temp")
        if degrees is not None:
            temperatures[_text(zone + "/type") or f"zone {number}"] = degrees
    return temperatures

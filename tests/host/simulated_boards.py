"""Simulated boards: files as their drivers show them, at paths and with labels of real ones.

The numbers are invented. ``BOARDS`` has each board with the watts that its total must be, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

I2C = "sys/bus/i2c/devices"
Rails = list[tuple[str, int, int]]
"""Labels, mV and mA."""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def device_tree(*compatible: str, model: str = "NVIDIA Jetson") -> dict[str, str]:
    base = "proc/device-tree"
    return {f"{base}/compatible": "\0".join([*compatible, ""]), f"{base}/model": f"{model}\0"}


def iio(chip: str, number: int, rails: Rails) -> dict[str, str]:
    """JetPack 4: mW, channels from 0."""
    folder = f"{I2C}/{chip}/iio:device{number}"
    files = {f"{I2C}/{chip}/name": "ina3221x\n"}
    for channel, (label, millivolts, milliamperes) in enumerate(rails):
        files |= {
            f"{folder}/rail_name_{channel}": f"{label}\n",
            f"{folder}/in_voltage{channel}_input": f"{millivolts}\n",
            f"{folder}/in_current{channel}_input": f"{milliamperes}\n",
            f"{folder}/in_power{channel}_input": f"{millivolts * milliamperes // 1000}\n",
        }
    return files


def hwmon(chip: str, number: int, rails: Rails, shunt_uohm: int = 5000) -> dict[str, str]:
    """JetPack 5 and later: mV and mA, channels from 1, and a sum in channel 7 that is no rail."""
    folder = f"{I2C}/{chip}/hwmon/hwmon{number}"
    files = {
        f"{I2C}/{chip}/name": "ina3221\n",
        f"{folder}/in7_label": "sum of shunt voltages\n",
        f"{folder}/in7_input": "77\n",
        f"{folder}/curr4_input": "9999\n",
        f"{folder}/update_interval": "4\n",
    }
    for channel, (label, millivolts, milliamperes) in enumerate(rails, 1):
        files |= {
            f"{folder}/in{channel}_label": f"{label}\n",
            f"{folder}/in{channel}_enable": "1\n",
            f"{folder}/in{channel}_input": f"{millivolts}\n",
            f"{folder}/curr{channel}_input": f"{milliamperes}\n",
            f"{folder}/shunt{channel}_resistor": f"{shunt_uohm}\n",
        }
    return files


def ina238(chip: str, number: int, millivolts: int, milliamperes: int) -> dict[str, str]:
    """Thor's carrier: uW."""
    folder = f"{I2C}/{chip}/hwmon/hwmon{number}"
    return {f"{I2C}/{chip}/name": "ina238\n", f"{folder}/power1_input": f"{millivolts * milliamperes}\n"}


def nano() -> dict[str, str]:
    rails = [("POM_5V_IN", 5072, 440), ("POM_5V_GPU", 5064, 16), ("POM_5V_CPU", 5064, 120)]
    return device_tree("nvidia,jetson-nano", "nvidia,tegra210") | iio("6-0040", 0, rails)


def nano_2gb() -> dict[str, str]:
    return device_tree("nvidia,p3542-0000+p3448-0003", "nvidia,jetson-nano", "nvidia,tegra210")


def tx2() -> dict[str, str]:
    return (
        device_tree("nvidia,p2597-0000+p3310-1000", "nvidia,tegra186")
        | iio("0-0040", 0, [("VDD_SYS_GPU", 19008, 8), ("VDD_SYS_SOC", 19008, 24), ("VDD_4V0_WIFI", 4792, 4)])
        | iio("0-0041", 1, [("VDD_IN", 19000, 128), ("VDD_SYS_CPU", 19008, 16), ("VDD_SYS_DDR", 19000, 44)])
        | iio(
            "0-0042", 2, [("VDD_MUX", 19000, 300), ("VDD_5V0_IO_SYS", 5080, 320), ("VDD_3V3_SYS", 3320, 20)]
        )
    )


INPUT: Rails = [("VDD_IN", 4960, 780), ("VDD_CPU_GPU_CV", 4960, 120), ("VDD_SOC", 4952, 240)]
XAVIER: list[Rails] = [
    [("GPU", 19000, 0), ("CPU", 19000, 16), ("SOC", 19000, 48)],
    [("CV", 19000, 0), ("VDDRQ", 19000, 8), ("SYS5V", 19000, 100)],
]


def xavier_nx(jetpack: int) -> dict[str, str]:
    rails = iio("7-0040", 0, INPUT) if jetpack == 4 else hwmon("7-0040", 6, INPUT)
    return device_tree("nvidia,p3509-0000+p3668-0000", "nvidia,tegra194") | rails


def agx_xavier(jetpack: int) -> dict[str, str]:
    driver = iio if jetpack == 4 else hwmon
    files = device_tree("nvidia,p2972-0000", "nvidia,tegra194")
    for number, rails in enumerate(XAVIER):
        files |= driver(f"1-004{number}", number, rails)
    return files


def orin_small(part: str) -> dict[str, str]:
    return device_tree(f"nvidia,p3768-0000+{part}", f"nvidia,{part}", "nvidia,tegra234") | hwmon(
        "1-0040", 3, INPUT
    )


def agx_orin() -> dict[str, str]:
    fine = [("VDD_GPU_SOC", 19800, 160), ("VDD_CPU_CV", 19800, 40), ("VIN_SYS_5V0", 4968, 953)]
    return (
        device_tree("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234")
        | hwmon("1-0040", 3, fine, 2000)
        | hwmon("1-0041", 4, [("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 4968, 220), ("NC", 0, 0)], 2000)
    )


def thor(carrier: bool = True) -> dict[str, str]:
    rails = [("VDD_GPU", 19600, 40), ("VDD_CPU_SOC_MSS", 19600, 332), ("VIN_SYS_5V0", 5016, 1300)]
    files = device_tree("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264")
    files |= hwmon("2-0040", 6, rails, 1000)
    return files | (ina238("2-0044", 5, 19600, 1180) if carrier else {})


BOARDS: dict[str, tuple[Callable[[], dict[str, str]], str, float | None]] = {
    "Nano, JetPack 4": (nano, "board", 2.231),
    "Nano 2GB, JetPack 4": (nano_2gb, "", None),
    "TX2, JetPack 4": (tx2, "board", 2.432 + 5.700),
    "Xavier NX, JetPack 4": (lambda: xavier_nx(4), "module", 3.868),
    "Xavier NX, JetPack 5": (lambda: xavier_nx(5), "module", 3.8688),
    "AGX Xavier, JetPack 4": (lambda: agx_xavier(4), "module", 3.268),
    "AGX Xavier, JetPack 5": (lambda: agx_xavier(5), "module", 3.268),
    "Orin NX": (lambda: orin_small("p3767-0000"), "module", 3.8688),
    "Orin Nano": (lambda: orin_small("p3767-0005"), "module", 3.8688),
    "AGX Orin": (agx_orin, "module", 3.168 + 0.792 + 4.734504),
    "Thor, JetPack 7": (thor, "board", 23.128),
    "Thor on another carrier": (lambda: thor(carrier=False), "module", 0.784 + 6.5072 + 6.5208),
}


def rapl(psys: bool = True, sockets: int = 1, wrap_uj: int = 262143328850) -> dict[str, str]:
    base = "sys/class/powercap"
    zones = {"intel-rapl-mmio:0": "package-0"}
    for socket in range(sockets):
        zones |= {
            f"intel-rapl:{socket}": f"package-{socket}",
            f"intel-rapl:{socket}:0": "core",
            f"intel-rapl:{socket}:1": "dram",
        }
    if psys:
        zones[f"intel-rapl:{sockets}"] = "psys"
    files = {f"{base}/intel-rapl/enabled": "1\n"}
    for number, (zone, name) in enumerate(zones.items(), 1):
        files |= {
            f"{base}/{zone}/name": f"{name}\n",
            f"{base}/{zone}/energy_uj": f"{1_000_000 * number}\n",
            f"{base}/{zone}/max_energy_range_uj": f"{wrap_uj}\n",
        }
    return files


def battery(current: int, voltage: int, status: str = "Discharging") -> dict[str, str]:
    folder = "sys/class/power_supply/battery"
    return {
        f"{folder}/current_now": f"{current}\n",
        f"{folder}/voltage_now": f"{voltage}\n",
        f"{folder}/status": f"{status}\n",
    }


PMIC = {
    "3V7_WL_SW": (0.0, 3.70),
    "3V3_SYS": (0.0439, 3.308),
    "1V8_SYS": (0.1825, 1.797),
    "VDD_CORE": (0.6099, 0.7204),
}
"""Amperes and volts of four of a Raspberry Pi 5's rails."""


def pmic_text() -> str:
    """What ``vcgencmd pmic_read_adc`` prints; the 5 V input has no current."""
    lines = [f"{name}_A current({n})={a:.8f}A" for n, (name, (a, _)) in enumerate(PMIC.items())]
    lines += [f"{name}_V volt({n})={v:.8f}V" for n, (name, (_, v)) in enumerate(PMIC.items(), 8)]
    return "\n".join([*lines, "EXT5V_V volt(24)=5.12346000V", "BATT_V volt(25)=0.01537020V"])

"""Which rails of a Jetson add up to the power of its module or board, with nothing counted twice.

Labels are of NVIDIA's device trees (tegra194-p2888.dtsi, tegra234-p3701.dtsi, tegra234-p3767.dtsi) and the
Jetson Linux Developer Guide. On AGX Orin VDDQ_VDD2_1V8AO is fed by VIN_SYS_5V0 and part of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgevid.host.power.files import Files, read_or_none

COMPATIBLE = "proc/device-tree/compatible"

INPUT = ("module", ("VDD_IN",))
NANO = ("board", ("POM_5V_IN",))
TX2 = ("board", ("VDD_IN", "VDD_MUX"))
AGX_XAVIER = ("module", ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"))
THOR = ("module", ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"))

TOTALS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "p3448": (NANO,),
    "jetson-nano": (NANO,),
    "p3310": (TX2, INPUT),
    "p3489": (TX2, INPUT),  # TX2i
    "p3636": (INPUT,),  # TX2 NX
    "p3668": (INPUT,),  # Xavier NX
    "p2888": (AGX_XAVIER,),
    "p2972": (AGX_XAVIER,),
    "p3767": (INPUT,),  # Orin NX and Orin Nano
    "p3701": (("module", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),),  # AGX Orin
    "p3834": (("board", ("VIN",)), THOR),  # VIN is on NVIDIA's carrier board only
}
"""By the module's number in the device tree: scopes and rails; the first whose rails all exist counts."""


def total_of(files: Files, labels: Sequence[str], rails: Sequence[str]) -> tuple[str, tuple[str, ...], str]:
    """The scope, its rails, and why there are none; ``rails`` are those of the target's file.

    A board that the table does not know has the total that its target's file names, or none.
    """
    compatible = (read_or_none(files, COMPATIBLE) or "").replace("\0", " ")
    for module, totals in TOTALS.items():
        if module in compatible:
            for scope, wanted in totals:
                if set(wanted) <= set(labels):
                    return scope, wanted, ""
            return "", (), f"this {module} board lacks rails that its total needs: it has {', '.join(labels)}"
    if rails and set(rails) <= set(labels):
        return "rails of the target's file", tuple(rails), ""
    return (
        "",
        (),
        (
            f"it is not known which rails of this board add up to its power ({', '.join(labels)}): "
            "name them in a target's file, as power.rails"
        ),
    )

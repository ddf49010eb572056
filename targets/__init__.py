"""The targets: one TOML file per device, whose keys ``README.md`` explains; adding one needs no Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.errors import TargetError
from edgevid.specs import TOLERANCE, Device, Gpu, Target, records
from edgevid.specs.records import matches, one_of
from edgevid.specs.registry import Registry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FOLDER = Path(__file__).parent

capability = matches(r"\d+\.\d", "a text such as '8.7'")
version = matches(r"\d+(\.\d+)*", "a version such as '10.3'")


def positive(value: int) -> str | None:
    return None if value > 0 else "must be above 0"


RULES: records.Rules = {
    Target: {"architecture": one_of("x86_64", "aarch64", "any"), "precisions": one_of(*TOLERANCE)},
    Device: {
        "os": one_of("linux", "android", "any"),
        "memory_gib": positive,
        **dict.fromkeys(("jetpack", "cuda", "tensorrt"), version),
        "formats": one_of("onnx", "ort"),
    },
    Gpu: {
        "compute_capability": capability,
        "minimum_compute_capability": capability,
        "typical_compute_capability": capability,
        "sm_count": positive,
        "shared_kib": positive,
        "ptx": capability,
    },
}


def read_target(file: Path | Traversable) -> Target:
    """The target of a TOML file; its name is the file's, without ``.toml``.

    ``same_as`` names one of edgevid's targets. Raises ``TargetError``, with the file's name and the key, for
    a key that is not in ``specs.Target`` and for an invalid value.
    """
    name, _, suffix = file.name.rpartition(".")
    try:
        if suffix != "toml":
            raise ValueError("a target is described by a .toml file")
        return records.decode(Target, {**_table(file), "name": name}, RULES)
    except (OSError, ValueError) as error:
        raise TargetError(f"{file.name}: {error}: targets/README.md explains the keys") from error


def _table(file: Path | Traversable) -> dict[str, Any]:
    """The keys of a file, with those of its ``same_as`` target."""
    table = tomllib.loads(file.read_text("utf-8"))
    if "same_as" not in table:
        return table
    board = FOLDER / f"{table['same_as']}.toml"
    if not board.is_file():
        raise ValueError(f"same_as: there is no {board.name} among edgevid's own targets")
    return {**_table(board), **table}


TARGETS: Registry[Target] = Registry("target", "targets", read_target)
"""Edgevid's targets by their ``order``; ``jetson`` has the keys of the board in its ``same_as``."""

for _target in sorted(map(read_target, FOLDER.glob("*.toml")), key=lambda target: target.order):
    TARGETS.register(_target.name, _target)

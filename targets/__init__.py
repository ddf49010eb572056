"""The devices. One TOML file each (``README.md`` explains its keys); no Python is needed to add one."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from edgevid.registry import Registry
from edgevid.specs import Target
from edgevid.targets.gpu import gpu_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _read(folder: Path) -> Registry[Target]:
    targets: Registry[Target] = Registry("target", "targets")
    tables = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.toml"))}
    for name, table in sorted(tables.items(), key=lambda item: item[1].get("order", 100)):
        device = {**tables.get(table.get("same_as"), {}), **table, "name": name}
        target = msgspec.convert(device, Target)
        try:
            gpu_of(target)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}.toml: {error}") from error
        targets.register(name, target)
    return targets


TARGETS = _read(Path(__file__).parent)
"""In the order of the files' ``order``; ``same_as`` is followed: ``jetson`` has the keys of its board."""

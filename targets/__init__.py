"""The devices. One TOML file each (``README.md`` explains its keys); no Python is needed to add one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgevid.registry import Registry
from edgevid.specs import Target
from edgevid.targets.gpu import gpu_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FOLDER = Path(__file__).parent


def read_target(file: Path | Traversable) -> Target:
    """The target that a TOML file describes; it has the file's name, without ``.toml``.

    ``same_as`` names one of ours. Raises ``ValueError``, with the file's name, for what it says wrongly.
    """
    try:
        name, suffix = file.name.rsplit(".", 1)
        if suffix != "toml":
            raise ValueError("a target is a .toml file")
        target = msgspec.convert({**_table(file), "name": name}, Target)
        gpu_of(target)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file.name}: {error}") from error
    return target


def _table(file: Path | Traversable) -> dict[str, Any]:
    """The keys of a file, with those of the target that it is the same as."""
    table = tomllib.loads(file.read_text("utf-8"))
    if "same_as" not in table:
        return table
    return {**_table(FOLDER / f"{table['same_as']}.toml"), **table}


def _order(file: Path) -> int:
    return _table(file).get("order", 100)


TARGETS: Registry[Target] = Registry("target", "targets", read_target)
"""Ours in the order of the files' ``order``; ``same_as`` is followed: ``jetson`` has its board's keys."""

for _file in sorted(FOLDER.glob("*.toml"), key=_order):
    TARGETS.register(_file.stem, read_target(_file))

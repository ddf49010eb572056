"""The registry for models, backends, targets and probes, to which other packages can add.

Such a package lists its additions in an entry-point group, in its ``pyproject.toml``::

    [project.entry-points."edgevid.models"]
    mine = "my_package.models:MODELS"

| group | what the entry point names |
|---|---|
| ``edgevid.backends`` | a ``Backend``, whose module is imported when it is used |
| ``edgevid.models`` | a ``ModelSpec`` |
| ``edgevid.targets`` | a TOML file, as a path or ``importlib.resources.files("my_package") / "board.toml"`` |
| ``edgevid.probes`` | a ``Probe`` |

or a list of these. Its module should import nothing heavy: listing imports it.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, TypeVar

from edgevid.errors import UnknownNameError

T = TypeVar("T")

OWN_PACKAGE = "edgevid"
log = logging.getLogger("edgevid")


def instance_of(kind: type[T]) -> Callable[[Any], T]:
    """A ``convert`` for a registry whose entry points name instances of ``kind``."""

    def convert(value: Any) -> T:
        if not isinstance(value, kind):
            raise TypeError(f"it is of type {type(value).__name__}, not {kind.__name__}")
        return value

    return convert


def check_choice(kind: str, name: str, choices: Iterable[str], remedy: str = "") -> None:
    """Raise ``UnknownNameError``, with the nearest of ``choices``, unless ``name`` is one of them.

    ``remedy`` is the advice in the message; by default it lists all choices.
    """
    names = list(choices)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    remedy = remedy or f"choose one of {', '.join(names)}"
    raise UnknownNameError(f"unknown {kind} '{name}': {hint}{remedy}")


def submodules(path: Iterable[str], package: str, folders: bool = False) -> Iterator[ModuleType]:
    """Import the modules of a ``package`` at ``path``, or its subpackages, in the order of their names."""
    for module in pkgutil.iter_modules(path, f"{package}."):
        if module.ispkg == folders:
            yield importlib.import_module(module.name)


class Registry(Generic[T]):
    """Names to entries: edgevid's own in the order of registration, then those of entry points by package.

    ``convert`` makes an entry, which has a ``name``, from the object of an entry point of ``group``; without
    it the registry has no entry points. They are loaded when a name is not edgevid's own, or when all are
    listed. One that cannot be loaded, or whose name is in use, is skipped with a warning that names its
    package.

    Registering a name twice raises ``ValueError`` (a bug); an unknown name raises ``UnknownNameError`` with
    the nearest names and the command that lists them all.
    """

    def __init__(self, kind: str, plural: str, convert: Callable[[Any], T] | None = None) -> None:
        self.kind, self.plural, self.group = kind, plural, f"{OWN_PACKAGE}.{plural}"
        self._convert = convert
        self._entries: dict[str, T] = {}
        self._packages: dict[str, str] = {}
        self._loaded = convert is None

    def register(self, name: str, entry: T, package: str = OWN_PACKAGE) -> T:
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is already registered by {self._packages[name]}")
        self._entries[name], self._packages[name] = entry, package
        return entry

    def package_of(self, name: str) -> str:
        """The distribution that registered ``name``: ``edgevid``, or such as ``my-package 1.0``."""
        self[name]
        return self._packages[name]

    def __getitem__(self, name: str) -> T:
        if name not in self:
            check_choice(self.kind, name, self, f"'edgevid list {self.plural}' shows them all")
        return self._entries[name]

    def get(self, name: str) -> T | None:
        """The entry, or None if there is none of that name."""
        return self._entries[name] if name in self else None

    def __contains__(self, name: str) -> bool:
        if name not in self._entries:
            self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._entries)

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def values(self) -> list[T]:
        self._load()
        return list(self._entries.values())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, because a loaded module may look up a name
        points = entry_points(group=self.group)
        for point in sorted(points, key=lambda point: (_distribution(point), point.name)):
            try:
                value = point.load()
                for item in value if isinstance(value, (list, tuple)) else [value]:
                    entry: Any = self._convert(item) if self._convert else item
                    self.register(entry.name, entry, _distribution(point))
            except Exception as error:  # a broken package must not break edgevid
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                log.warning(
                    "package %s: skipping its entry point %s in %s (%s): update or uninstall the package",
                    _distribution(point), point.value, self.group, reason,
                )  # fmt: skip


def _distribution(point: EntryPoint) -> str:
    """Name and version of the package that has an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"

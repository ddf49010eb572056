"""The backends, a folder each, found by their ``BACKEND``; packages of others add theirs by entry points."""

from __future__ import annotations

import importlib
import pkgutil

from edgevid.backends.protocol import Backend
from edgevid.registry import Registry, instance_of
from edgevid.specs import Artefact

BACKENDS: Registry[Backend] = Registry("backend", "backends", instance_of(Backend))

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    if _module.ispkg:
        _backend = importlib.import_module(_module.name).BACKEND
        BACKENDS.register(_backend.name, _backend)


def opener(backend: str, artefact: Artefact) -> str:
    """The name of the backend that opens a file here: that of its bundle if it can, else who checked it."""
    if backend in BACKENDS and BACKENDS[backend].opens_here():
        return backend
    return artefact.opened_by


def board_backend(device: str) -> Backend | None:
    """The backend whose board ``device`` is; ``BackendError`` if it is only half an address."""
    for backend in BACKENDS.values():
        if backend.reaches(device):
            backend.check_address(device)
            return backend
    return None


def board_addresses() -> str:
    """The forms of the addresses of boards, for a message."""
    return " or ".join(entry.board_address for entry in BACKENDS.values() if entry.board_address)

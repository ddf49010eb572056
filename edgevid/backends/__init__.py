"""The backends, a folder each, found by their ``BACKEND``; packages of others add theirs by entry points."""

from __future__ import annotations

from edgevid.backends.protocol import Backend
from edgevid.specs import Artefact, Target
from edgevid.specs.registry import Registry, instance_of, submodules

BACKENDS: Registry[Backend] = Registry("backend", "backends", instance_of(Backend))

for _folder in submodules(__path__, __name__, folders=True):
    BACKENDS.register(_folder.BACKEND.name, _folder.BACKEND)


def backends_of(target: Target) -> tuple[str, ...]:
    """Those that the target's file names, the default first, and then those that name the target."""
    others = [backend.name for backend in BACKENDS.values() if target.name in backend.targets]
    return tuple(dict.fromkeys([*target.backends, *others]))


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

"""The backends: each folder here with a ``BACKEND``, and those that other packages add by entry points."""

from __future__ import annotations

from edgevid.backends.protocol import Backend
from edgevid.specs import Artefact, Target
from edgevid.specs.registry import Registry, instance_of, submodules

BACKENDS: Registry[Backend] = Registry("backend", "backends", instance_of(Backend))

for _folder in submodules(__path__, __name__, folders=True):
    BACKENDS.register(_folder.BACKEND.name, _folder.BACKEND)


def backends_of(target: Target) -> tuple[str, ...]:
    """The backends in the target's file, the default first, then the backends that name the target."""
    others = [backend.name for backend in BACKENDS.values() if target.name in backend.targets]
    return tuple(dict.fromkeys([*target.backends, *others]))


def opener(backend: str, artefact: Artefact) -> str:
    """The name of the backend that opens a file here: the bundle's own if possible, else ``opened_by``."""
    if backend in BACKENDS and BACKENDS[backend].opens_here():
        return backend
    return artefact.opened_by


def board_backend(device: str) -> Backend | None:
    """The backend that reaches the board at ``device``; ``BackendError`` if the address is incomplete."""
    for backend in BACKENDS.values():
        if backend.reaches(device):
            backend.check_address(device)
            return backend
    return None


def board_addresses() -> str:
    """The formats of board addresses, for a message."""
    return " or ".join(entry.board_address for entry in BACKENDS.values() if entry.board_address)

"""Which cell runs on which device: one at a time on each, and what fails is tried on another of its kind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edgevid.benchmarks.matrix.plan import Cell
from edgevid.specs import LOCAL

LOSSES = 2
"""A cell that was running on so many devices when they went away is not tried again."""


@dataclass(frozen=True)
class Device:
    """A device of a Dask worker; ``resource`` is its name there, ``address`` what ``--device`` takes."""

    resource: str
    kind: str
    address: str


def device_of(resource: str) -> Device | None:
    """The device that ``KIND:NAME`` or ``KIND:NAME:ADDRESS`` describes; None for other resources."""
    kind, _, rest = resource.partition(":")
    name, _, address = rest.partition(":")
    return Device(resource, kind, address or LOCAL) if kind and name else None


@dataclass
class _Task:
    cell: Cell
    tried: set[str] = field(default_factory=set)
    losses: int = 0
    reason: str = ""


class Roster:
    """The cells that wait, those that run, and the devices that are there.

    A coroutine for each device takes cells until there are none. Not for threads.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.devices: dict[str, Device] = {}
        self._waiting: dict[str, deque[_Task]] = {}
        self._again: dict[str, list[_Task]] = {}
        self._running: dict[str, _Task] = {}
        self._changed = asyncio.Event()
        for cell in cells:
            self._waiting.setdefault(cell.device, deque()).append(_Task(cell))

    @property
    def kinds(self) -> set[str]:
        """The kinds of the cells that wait."""
        return {kind for table in (self._waiting, self._again) for kind, tasks in table.items() if tasks}

    @property
    def is_done(self) -> bool:
        return not self._running and not self.kinds

    async def take(self, device: Device) -> Cell | None:
        """The next cell for ``device``; None when all are done."""
        while (task := self._next(device)) is None:
            if self.is_done:
                return None
            changed = self._changed
            await changed.wait()
        self._running[device.resource] = task
        return task.cell

    def finish(self, device: Device) -> None:
        del self._running[device.resource]
        if self.is_done:
            self._wake()

    def fail(self, device: Device, reason: str) -> Cell | None:
        """The cell of ``device`` failed; returns it if there is no other device to try it on."""
        task = self._running[device.resource]
        task.tried.add(device.resource)
        task.reason = reason
        return self._put_back(device, task)

    def lose(self, device: Device) -> tuple[Cell, str] | None:
        """``device`` went away while it ran a cell, which another one of its kind gets.

        Returns the cell and the reason if it is not tried again.
        """
        task = self._running[device.resource]
        task.losses += 1
        task.reason = task.reason or f"the device '{device.resource}' went away while it measured"
        if task.losses < LOSSES:
            self._again.setdefault(task.cell.device, []).append(task)
            self._wake()
        self.finish(device)
        return (task.cell, task.reason) if task.losses >= LOSSES else None

    def give_up(self, kinds: Iterable[str] = ()) -> Iterator[tuple[Cell, str]]:
        """Cells that no device can take, with the reason: all of ``kinds``, and what failed on all others."""
        for kind in kinds:
            for task in (*self._waiting.pop(kind, ()), *self._again.pop(kind, ())):
                yield task.cell, task.reason or f"no device of the kind '{kind}' is left"
        for tasks in self._again.values():
            for task in [task for task in tasks if task.tried and not self._others(task)]:
                tasks.remove(task)
                yield task.cell, task.reason
        if self.is_done:
            self._wake()

    def _put_back(self, device: Device, task: _Task) -> Cell | None:
        again = self._others(task)
        if again:
            self._again.setdefault(task.cell.device, []).append(task)
            self._wake()
        self.finish(device)
        return None if again else task.cell

    def _next(self, device: Device) -> _Task | None:
        for task in self._again.get(device.kind, ()):
            if device.resource not in task.tried:
                self._again[device.kind].remove(task)
                return task
        waiting = self._waiting.get(device.kind)
        return waiting.popleft() if waiting else None

    def _others(self, task: _Task) -> bool:
        """Whether a device that has not tried the task is there."""
        kind = task.cell.device
        return any(
            device.kind == kind and device.resource not in task.tried for device in self.devices.values()
        )

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

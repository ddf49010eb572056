"""Which cell runs on which device, without a network."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edgevid.benchmarks.experiments.matrix_kills import fake_cells
from edgevid.benchmarks.fleet.roster import Device, Roster, device_of

A, B = Device("nano:a", "nano", "local"), Device("nano:b", "nano", "local")
ORIN = Device("orin:a", "orin", "local")


def roster(*names: str, devices=(A, B)) -> Roster:
    made = Roster(replace(cell, device="nano") for cell in fake_cells(*names))
    made.devices = {device.resource: device for device in devices}
    return made


def taken(made: Roster, device: Device) -> str | None:
    """The name of the next cell; None if there is none now."""

    async def take():
        try:
            cell = await asyncio.wait_for(made.take(device), 0.01)
        except asyncio.TimeoutError:
            return None
        return cell and cell.name

    return asyncio.run(take())


@pytest.mark.parametrize(
    ("resource", "device"),
    [
        ("nano:a", A),
        ("nano:b:ssh://me@nano-b:22", Device("nano:b:ssh://me@nano-b:22", "nano", "ssh://me@nano-b:22")),
        ("GPU", None),
        ("nano:", None),
        (":a", None),
    ],
)
def test_a_resource_describes_a_device(resource, device):
    assert device_of(resource) == device


def test_cells_are_taken_once_and_only_by_their_kind():
    made = roster("one", "two")
    assert taken(made, ORIN) is None
    assert (taken(made, A), taken(made, B), made.kinds) == ("one", "two", set())
    assert not made.is_done
    made.finish(A)
    made.finish(B)
    assert made.is_done


def test_what_failed_is_tried_on_another_device_of_its_kind():
    made = roster("one")
    taken(made, A)
    assert made.fail(A, "no answer") is None
    assert taken(made, A) is None, "it has tried"
    assert taken(made, B) == "one"
    assert made.fail(B, "no answer").name == "one"
    assert made.is_done


def test_what_failed_on_the_only_device_has_failed():
    made = roster("one", devices=(A, ORIN))
    taken(made, A)
    assert made.fail(A, "no answer").name == "one"


def test_what_a_device_was_measuring_when_it_went_away_is_measured_again_once():
    made = roster("one")
    taken(made, A)
    assert made.lose(A) is None
    assert taken(made, B) == "one"
    cell, reason = made.lose(B)
    assert cell.name == "one" and "went away" in reason and made.is_done


def test_cells_are_given_up_when_no_device_can_take_them():
    made = roster("one", "two")
    taken(made, A)
    made.fail(A, "no answer")
    made.devices = {A.resource: A}
    assert [(cell.name, reason) for cell, reason in made.give_up()] == [("one", "no answer")]
    ((cell, reason),) = made.give_up(["nano"])
    assert cell.name == "two" and "no device of the kind 'nano' is left" in reason
    assert made.is_done


def test_devices_that_wait_leave_when_all_is_done_and_take_what_comes_back():
    async def run():
        made = roster("one", "two")
        await made.take(A)
        await made.take(B)
        waits = asyncio.create_task(made.take(Device("nano:c", "nano", "local")))
        await asyncio.sleep(0)
        made.devices["nano:c"] = Device("nano:c", "nano", "local")
        made.fail(A, "no answer")
        assert (await waits).name == "one"
        made.finish(Device("nano:c", "nano", "local"))
        last = asyncio.create_task(made.take(A))
        await asyncio.sleep(0)
        made.finish(B)
        assert await last is None

    asyncio.run(run())

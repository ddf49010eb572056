"""One reading of a sensor, in this process."""

from __future__ import annotations

import pytest

from edgevid.host.power.files import LocalFiles
from edgevid.host.power.sampler import reader
from edgevid.host.power.sensor import Samples


@pytest.fixture
def read_once():
    """Finds a probe's sensor below a folder, and returns it with the watts, or joules, of its rails."""

    def read_once(probe, root, rails=()):
        sensor = probe.find(LocalFiles(root), rails)
        ((time_ns, numbers),) = reader(sensor.source)()
        samples = Samples([time_ns / 1e9], [[number] for number in numbers])
        sensor = sensor.refine(sensor, samples)
        return sensor, {rail.label: rail.values(samples)[0] for rail in sensor.rails}

    return read_once

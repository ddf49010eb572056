"""How ``edgevid bench`` makes each measurement: its options, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevid.benchmarks.harness.protocol import Request, Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.errors import BenchmarkError


@dataclass(frozen=True)
class Options:
    """How each measurement is made; None is the scenario's or the backend's own choice."""

    device: str
    duration_s: float | None
    threads: int | None
    settings: Settings
    pinned: bool
    power: str | None

    def request(self, bundle: str, scenario: str) -> Request:
        duration_s = self.duration_s or SCENARIOS[scenario].duration_s
        return Request(
            bundle, scenario, duration_s, self.threads, self.device, self.settings, self.pinned, self.power
        )


def options_of(
    device: str,
    duration: float | None,
    threads: int | None,
    streams: int | None,
    latency_bound: float | None,
    video: str | None,
    fps: float | None,
    deadline: float | None,
    seed: int,
    pin: bool,
    power: str | None,
) -> Options:
    """The options of the command line; ``BenchmarkError`` for an impossible value."""
    for name, value, unit in (
        ("--duration", duration, "seconds"),
        ("--latency-bound", latency_bound, "milliseconds"),
        ("--fps", fps, "frames per second"),
        ("--deadline", deadline, "milliseconds"),
    ):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise BenchmarkError(
                f"{name} {value:g} is not a positive number of {unit}: use, for example, {name} 10"
            )
    if video is not None:
        from edgevid.video.decode import probe

        probe(video)
    if power is not None:
        from edgevid.host.probes import check_power

        check_power(power)
    settings = Settings(streams, latency_bound, video, fps, deadline, seed)
    return Options(device, duration, threads, settings, pin, power)

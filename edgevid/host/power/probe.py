"""The probe of a power sensor: it finds the sensor, and samples it while a network runs."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

from edgevid.errors import BenchmarkError
from edgevid.host.power.energy import Window
from edgevid.host.power.files import Files, LocalFiles
from edgevid.host.power.observation import Observation, nothing
from edgevid.host.power.sampling import Sampling
from edgevid.host.power.sensor import NoSensorError, Samples, Sensor, SensorError
from edgevid.specs import Availability

IDLE_S = 3.0
IDLE_UPDATES = 10
"""A slow sensor observes the idle device for as many updates at least."""
Find = Callable[[Files, tuple[str, ...]], Sensor]
"""Finds a sensor below a root; it gets the rails that a target's file names.

Raises ``NoSensorError``, or ``SensorError`` for one that exists and cannot be read."""


class SensorProbe:
    """Samples the sensor that ``find`` finds, in another process, between enter and exit.

    ``prepare`` starts the sampler and measures idle power for ``idle_s`` seconds; call it before the network
    warms up, or else entering does it. If the power is ``required``, what cannot be measured raises
    ``BenchmarkError``; otherwise it is null with the reason and a warning. ``automatic`` sensors measure
    whatever runs here, so that they are taken where none is named.
    """

    def __init__(
        self,
        name: str,
        title: str,
        find: Find,
        files: Files | None = None,
        idle_s: float = IDLE_S,
        automatic: bool = True,
    ) -> None:
        self.name, self.title, self.find = name, title, find
        self.files: Files = files or LocalFiles()
        self.idle_s, self.automatic = idle_s, automatic
        self.rails: tuple[str, ...] = ()
        self.required = False
        self._sensor: Sensor | None = None
        self._sampling: Sampling | None = None
        self._idle: Window | None = None
        self._window: Window | None = None
        self._prepared, self._start_s = False, 0.0
        self._fields = nothing("the probe has not been entered")

    def configured(
        self, rails: tuple[str, ...] = (), required: bool = False, idle_s: float | None = None
    ) -> SensorProbe:
        """A copy for one measurement; ``rails`` add up to the whole board, as a target's file says."""
        probe = copy.copy(self)
        probe.rails, probe.required = rails, required
        probe.idle_s = self.idle_s if idle_s is None else idle_s
        return probe

    def available(self) -> Availability:
        try:
            return Availability(True, self.find(self.files, self.rails).describe())
        except NoSensorError as error:
            return Availability(
                False, self.title, str(error), "measure power on a device that has this sensor"
            )
        except SensorError as error:
            return Availability(False, self.title, str(error), error.remedy)

    def exists(self) -> bool:
        """Whether the device has this sensor, readable or not."""
        try:
            self.find(self.files, self.rails)
        except NoSensorError:
            return False
        except SensorError:
            return True
        return True

    def prepare(self) -> None:
        self._prepared = True
        with self._failures():
            self._sensor = self.find(self.files, self.rails)
            if self.required and not self._sensor.total:
                raise SensorError(self._sensor.why_no_total, "without --power the result has its rails alone")
            self._sampling = Sampling(self._sensor)
            if self.idle_s:
                self._forget(self._sensor)
                start = time.monotonic()
                self._sampling.mark()
                time.sleep(max(self.idle_s, IDLE_UPDATES * self._sensor.update_s))
                self._sampling.mark()
                self._idle = Window(start, time.monotonic())
                time.sleep(self._sensor.interval_s)  # a slow read of this window ends before the load begins

    def observe(self, runs: Sequence[Callable[[], object]]) -> list[dict[str, Any]]:
        """Call ``runs`` one after another; the fields of each, above the same idle power measured before."""
        self.prepare()
        self._prepared = False
        windows = []
        try:
            for run in runs:
                if self._sampling is not None and self._sensor is not None:
                    self._forget(self._sensor)
                    self._sampling.mark()
                start = time.monotonic()
                run()
                windows.append(Window(start, time.monotonic()))
                if self._sampling is not None:
                    self._sampling.mark()
        except BaseException:
            self._abandon()
            raise
        sampling, self._sampling = self._sampling, None
        if sampling is not None:
            with self._failures():
                samples = sampling.samples()
                return [self._observed(samples, window) for window in windows]
        return [self._fields] * len(windows)

    def __enter__(self) -> SensorProbe:
        if not self._prepared:
            self.prepare()
        if self._sampling is not None:
            self._sampling.mark()
        self._start_s = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self._window, self._prepared = Window(self._start_s, time.monotonic()), False
        if self._sampling is None:
            return
        if error[0] is None:
            self._sampling.finish()
        else:
            self._abandon()

    def fields(self) -> dict[str, Any]:
        """The keys that ``Probe.fields`` lists.

        Only here are the samples taken over, so that they do not count as the network's memory.
        """
        sampling, self._sampling = self._sampling, None
        if sampling is not None:
            with self._failures():
                assert self._window is not None  # there was a sampler
                self._fields = self._observed(sampling.samples(), self._window)
        return self._fields

    def _observed(self, samples: Samples, window: Window) -> dict[str, Any]:
        assert self._sensor is not None  # there was a sampler
        return Observation(self._sensor, samples, window, self._idle).fields()

    def _forget(self, sensor: Sensor) -> None:
        """Wait until the sensor does not average what ran before."""
        time.sleep(sensor.update_s + sensor.interval_s)

    def _abandon(self) -> None:
        if self._sampling is not None:
            self._sampling.abandon()
            self._sampling = None

    @contextlib.contextmanager
    def _failures(self) -> Any:
        """Without power, measure on and say why; if it is required, stop."""
        try:
            yield
        except (NoSensorError, SensorError) as error:
            remedy = error.remedy if isinstance(error, SensorError) else "use --power none"
            if self.required:
                raise BenchmarkError(f"power cannot be measured ({error}): {remedy}") from None
            self._fields = nothing(str(error))
            if isinstance(error, SensorError):
                self._fields["warnings"] = [f"power was not measured ({error}): {remedy}"]

"""Measure on a board over TVM's RPC, with the board's clock and the board's environment.

Nothing about the host computer goes into the result, since it does not run the network.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgevid
from edgevid.benchmarks.harness.measurement import Emit, Timer, emit_progress, measure
from edgevid.benchmarks.harness.memory import unread_memory
from edgevid.benchmarks.harness.protocol import Progress, Request
from edgevid.benchmarks.harness.scenarios import scenarios_for
from edgevid.benchmarks.harness.scenarios.scenario import INFERENCE_TIMES
from edgevid.errors import BenchmarkError
from edgevid.host.noise import NoiseMonitor
from edgevid.host.power.meter import FORMS, is_meter, meter_probe
from edgevid.host.probes import NullProbe, Probe
from edgevid.specs import Manifest

if TYPE_CHECKING:
    from edgevid.backends.protocol import Board

OFFERS = frozenset({INFERENCE_TIMES})
"""What a board can time."""
CHUNK_NS = 250_000_000
"""The time of the inferences in one RPC call, during which the network connection is idle."""
MAX_CHUNK = 1000
CPUS, DEVICE_TREE = "/sys/devices/system/cpu", "/sys/firmware/devicetree/base/model"
THERMAL_ZONES = 12
NOWHERE = Path("/nonexistent")
"""Instead of this machine's /proc, which says nothing about the board."""
UNAVAILABLE = "over RPC only files in /etc and /sys and TVM's own functions of a board can be read"
WHY_NO_POWER = "sensors of a board over RPC are not read: run 'edgevid bench' on the board itself"


def measure_remote(request: Request, open_session: Callable[..., Any], emit: Emit) -> dict[str, Any]:
    """Open the bundle on the board at ``request.device`` and measure there; returns the result."""
    refuse_other_scenarios(request.scenario)
    emit_progress(emit, Progress("connecting to the board"))
    session = open_session(request.bundle, threads=request.threads, device=request.device)
    environment = observe_board(session.board)
    clock = BoardClock(session.timer())
    timer = Timer(
        clock.step,
        clock.now,
        _power_probe(request.power),
        BoardMemory(),
        NoiseMonitor(NOWHERE),
        overhead_us=lambda scenario: 0.0,  # nothing of the harness runs between two inferences of the board
    )
    return measure(request, session, timer, environment, emit)


def _power_probe(asked: str | None) -> Probe:
    """An external meter that this computer reads, or none."""
    if asked is None or asked == "none":
        return NullProbe(WHY_NO_POWER)
    if not is_meter(asked):
        raise BenchmarkError(f"--power {asked}: {WHY_NO_POWER}, or read an external meter here ({FORMS})")
    return meter_probe(asked)


class BoardMemory:
    """In place of a ``MemoryMeter``: the memory of the board's server is not its network's."""

    def warmed_up(self) -> None: ...

    def finished(self) -> None: ...

    def fields(self, manifest: Manifest) -> dict[str, Any]:
        return unread_memory(manifest, UNAVAILABLE)


def refuse_other_scenarios(*names: str) -> None:
    possible = scenarios_for(OFFERS)
    for name in names:
        if name not in possible:
            raise BenchmarkError(
                f"scenario '{name}' cannot be measured over RPC: use --scenario {' or '.join(possible)}"
            )


class BoardClock:
    """A clock that advances by the board's inferences: ``now`` (ns) moves by the duration of each ``step``.

    ``time(count)`` runs ``count`` inferences on the board and returns the nanoseconds of each.
    """

    def __init__(self, time: Callable[[int], Sequence[int]]) -> None:
        self._time, self._samples = time, list[int]()
        self._now, self._last = 0, CHUNK_NS

    def step(self) -> None:
        if not self._samples:
            count = max(1, min(MAX_CHUNK, CHUNK_NS // max(1, self._last)))
            self._samples = list(self._time(count))[::-1]
        self._last = self._samples.pop()
        self._now += self._last

    def now(self) -> int:
        return self._now


def observe_board(board: Board) -> dict[str, Any]:
    """The board's facts by the keys of ``environment.observe``; what cannot be read is null."""
    name, model = board.read(DEVICE_TREE), board.call("target.llvm_get_system_cpu")
    cpu = {
        "model": model,
        "architecture": board.triple.partition("-")[0] or None,
        "physical_cores": None,
        "logical_cores": _count(board.read(f"{CPUS}/possible")),
        "usable_cores": None,
        "instruction_sets": None,
        "governor": board.read(f"{CPUS}/cpu0/cpufreq/scaling_governor"),
        "frequency_mhz": _scaled(board.read(f"{CPUS}/cpu0/cpufreq/scaling_cur_freq")),
    }
    environment = {
        "device": _label(board, name, cpu),
        "rpc": str(board.address),
        "board": name,
        "cpu": cpu,
        "gpus": None,
        "power_mode": None,
        "temperature_c": _temperatures_c(board) or None,
        "busy_percent": None,
        "load_average": None,
        "memory_total_mib": None,
        "memory_available_mib": None,
        "os": _operating_system(board.read("/etc/os-release")),
        "kernel": None,
        "python": None,
        "packages": {},
        "edgevid": {"version": edgevid.__version__},
        "thread_variables": {},
        "date_utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    unread = [key for key, value in environment.items() if value is None]
    unread += [f"cpu.{key}" for key, value in cpu.items() if value is None]
    return {**environment, "not_read": dict.fromkeys(unread, UNAVAILABLE)}


def _label(board: Board, name: str | None, cpu: dict[str, Any]) -> str:
    """One line that identifies the device in tables of results."""
    facts = [str(cpu[key]) for key in ("model", "architecture") if cpu[key]]
    if cpu["logical_cores"]:
        facts.append(f"{cpu['logical_cores']} cores")
    prefix = f"{name}; " if name else ""
    return f"{prefix}board '{board.address.key}' over RPC ({', '.join(facts) or 'processor unknown'})"


def _count(ranges: str | None) -> int | None:
    """The number of processors in the kernel's list format: ``0-3,5`` is five."""
    try:
        ends = [part.split("-") for part in (ranges or "").split(",")]
        return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)
    except ValueError:
        return None


def _scaled(thousands: str | None) -> float | None:
    try:
        return int(thousands or "") / 1000
    except ValueError:
        return None


def _temperatures_c(board: Board) -> dict[str, float]:
    temperatures = {}
    for number in range(THERMAL_ZONES):
        zone = f"/sys/class/thermal/thermal_zone{number}"
        degrees = _scaled(board.read(f"{zone}/temp"))
        if degrees is None:
            break
        temperatures[board.read(f"{zone}/type") or f"zone {number}"] = degrees
    return temperatures


def _operating_system(release: str | None) -> str | None:
    for line in (release or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip('"')
    return None

"""The scenarios of ``edgevid bench``: one module each, with its ``SCENARIO``."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from edgevid.benchmarks.harness.scenarios.scenario import HERE, INFERENCE_TIMES, Scenario, Workload
from edgevid.errors import BenchmarkError
from edgevid.specs.registry import Registry, submodules

SCENARIOS: Registry[Scenario] = Registry("scenario", "scenarios")
_modules = submodules(__path__, __name__)
for _scenario in sorted(
    (module.SCENARIO for module in _modules if hasattr(module, "SCENARIO")), key=attrgetter("order")
):
    SCENARIOS.register(_scenario.name, _scenario)


def scenarios_for(offers: frozenset[str] = HERE) -> tuple[str, ...]:
    """The scenarios whose needs ``offers`` covers."""
    return tuple(scenario.name for scenario in SCENARIOS.values() if scenario.needs <= offers)


def scenario_named(name: str) -> Scenario:
    """The scenario ``name``; a ``BenchmarkError`` lists the existing ones."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    choices = " or ".join(SCENARIOS)
    raise BenchmarkError(f"unknown scenario '{name}': use --scenario {choices}")


def overhead_us(name: str, duration_s: float = 0.1) -> float | None:
    """The harness's overhead per inference in microseconds, from the scenario's loop with an empty step.

    It is the wall time of an iteration (clocks, bookkeeping, the call, the decision whether to report), an
    upper bound of what these add to a sample. Reports, which are limited by time and not sent for each
    inference, are excluded. None for a scenario whose samples are delays of real frames.
    """
    scenario = scenario_named(name)
    if INFERENCE_TIMES not in scenario.needs:
        return None
    loop = scenario.timed_loop or scenario.run
    timing = loop(Workload(_nothing, _ignore, new_step=lambda: _nothing), duration_s)
    return 1e6 * (timing.elapsed_s - timing.paused_s) / timing.count


def _nothing() -> None:
    """An empty step."""


def _ignore(elapsed_s: float, samples: Sequence[int]) -> None:
    """A report function that does nothing."""

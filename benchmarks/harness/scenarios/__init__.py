"""What ``edgevid bench`` can time: one file for each scenario, with its ``SCENARIO``."""

from __future__ import annotations

from operator import attrgetter

from edgevid.benchmarks.harness.scenarios.scenario import HERE, Scenario
from edgevid.errors import BenchmarkError
from edgevid.specs.registry import Registry, submodules

SCENARIOS: Registry[Scenario] = Registry("scenario", "scenarios")
_modules = submodules(__path__, __name__)
for _scenario in sorted(
    (module.SCENARIO for module in _modules if hasattr(module, "SCENARIO")), key=attrgetter("order")
):
    SCENARIOS.register(_scenario.name, _scenario)

RESERVED = ("multi-stream", "server", "camera", "sustained")
"""Names of the contract for scenarios that do not exist yet."""


def scenarios_for(offers: frozenset[str] = HERE) -> tuple[str, ...]:
    """Those that a device can run which offers so much."""
    return tuple(scenario.name for scenario in SCENARIOS.values() if scenario.needs <= offers)


def scenario_named(name: str) -> Scenario:
    """The scenario of that name, or a ``BenchmarkError`` that lists those which exist."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    known = " or ".join(SCENARIOS)
    if name in RESERVED:
        raise BenchmarkError(f"scenario '{name}' cannot be measured yet: use --scenario {known}")
    raise BenchmarkError(f"unknown scenario '{name}': use --scenario {known}")


def overhead_us(name: str, duration_s: float = 0.1) -> float:
    """What the harness costs per inference, in microseconds: the scenario's own loop around nothing.

    This is wall time per turn of the loop (clocks, bookkeeping, the call itself, the decision whether to
    report), measured live, so it is an upper bound of what these add to a sample. The reports themselves
    come by the second, not by the inference, and are not in it.
    """
    timing = scenario_named(name).run(_nothing, duration_s, _ignore)
    return 1e6 * timing.elapsed_s / len(timing.samples_ns)


def _nothing() -> None:
    """An inference that does nothing."""


def _ignore(elapsed_s: float, samples: list[int]) -> None:
    """A report that nobody reads."""

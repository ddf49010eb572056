"""What ``edgevid regress`` measures: times, instructions, or what it can detect here."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.progress import progress
from edgevid.cli.regress_options import Comparison, group, share
from edgevid.cli.result_files import STANDARD_OUTPUT
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.regress.energy import Energy

COUNTING = "counting instructions"


@dataclass(frozen=True)
class Measures:
    """By what the bundles are compared."""

    instructions: bool
    instructions_threshold: str
    self_test: bool
    dataset: str | None
    power: str | None

    def energy(self, bundle: str) -> Energy:
        """What reads the energy of the bundles; ``BenchmarkError`` if --power names what cannot."""
        from edgevid.benchmarks.regress.energy import Energy
        from edgevid.bundle.bundle import Bundle
        from edgevid.host.probes import power_probe
        from edgevid.targets import TARGETS

        if self.instructions and self.power is not None:
            raise BenchmarkError("--instructions counts without a sensor: leave --power out")
        target = TARGETS.get(Bundle.open(bundle).manifest.target)
        probe = power_probe(target.power if target else None, self.power)
        is_required = self.power not in (None, "none")
        if is_required and not (state := probe.available()).ok:
            raise BenchmarkError(f"power cannot be measured ({state.why}): {state.remedy}")
        return Energy(probe, is_required)

    def accuracy(self) -> Callable[[dict[str, Any], Comparison], dict[str, Any]]:
        """Adds top-1 accuracies on ``--dataset`` to a verdict; ``EdgevidError`` if it is no data set."""
        if self.dataset is None:
            return lambda verdict, comparison: verdict
        from edgevid.benchmarks.evaluation.evaluate import Request
        from edgevid.benchmarks.regress.accuracy import accuracy_metric, with_metric
        from edgevid.cli.eval import evaluator
        from edgevid.video.datasets import open_dataset

        evaluate = evaluator(open_dataset(Path(self.dataset).absolute()), Request())

        def add(verdict: dict[str, Any], comparison: Comparison) -> dict[str, Any]:
            before, after = (
                {record.video: record.best[0] == record.label for record in evaluate(bundle).records}
                for bundle in comparison.bundles()
            )
            tests = 1 + sum("pair_ratios" in metric for metric in verdict["metrics"])
            threshold = share(comparison.threshold)
            return with_metric(verdict, accuracy_metric(before, after, threshold, tests))

        return add

    def count(self, comparison: Comparison) -> dict[str, Any]:
        """Count instructions; the verdict."""
        from edgevid.benchmarks.regress import instructions

        options = instructions.Options(self.threshold(), share(comparison.threshold))
        with progress("inferences") as show:
            return instructions.compare(*comparison.bundles(), options, functools.partial(show, COUNTING))

    def values(self, bundle: str) -> dict[str, float]:
        """Instructions, if they are counted: what a baseline file keeps beside what the bundle says."""
        if not self.instructions:
            return {}
        from edgevid.benchmarks.regress import instructions
        from edgevid.bundle.bundle import Bundle

        with progress("inferences") as show:
            return instructions.values_of(Bundle.open(bundle), functools.partial(show, COUNTING))

    def threshold(self) -> float:
        return share(self.instructions_threshold, "--instructions-threshold", "0.5%")

    def test_itself(self, comparison: Comparison, json_to: str | None) -> None:
        """Print what the gate can detect here, and write it to ``json_to``."""
        from edgevid.benchmarks.harness.store import ResultFile
        from edgevid.benchmarks.regress import self_test

        if comparison.baseline is None:
            raise BenchmarkError("--self-test measures a bundle of yours: name it with --baseline")
        options, to_json = comparison.options(), functools.partial(json.dumps, indent=1, allow_nan=False)
        file = ResultFile(Path(json_to), render=to_json) if json_to not in (None, STANDARD_OUTPUT) else None
        with progress("s") as show:
            result = self_test.run(comparison.baseline, options, functools.partial(show, "measuring"))
        if file:
            file.save(result)
        click.echo(to_json(result) if json_to == STANDARD_OUTPUT else self_test.table(result))


measure_options = group(
    "measures",
    Measures,
    click.option(
        "--instructions",
        is_flag=True,
        help="Compare the instructions of one inference, counted by valgrind, instead of times: other load "
        "does not matter.",
    ),
    click.option(
        "--instructions-threshold",
        default="0.5%",
        show_default=True,
        metavar="SHARE",
        help="The growth of instructions that is a regression.",
    ),
    click.option(
        "--dataset", metavar="DIR", help="Compare accuracies too, on these labelled videos ('edgevid eval')."
    ),
    click.option(
        "--power",
        metavar="SOURCE",
        help="Compare energies with this sensor, as in 'edgevid bench', or with 'none'.  "
        "[default: with a sensor that is there, if the budget lasts]",
    ),
    click.option(
        "--self-test",
        is_flag=True,
        help="Say which slow-downs of --baseline this machine detects within --budget, in four times that.",
    ),
)

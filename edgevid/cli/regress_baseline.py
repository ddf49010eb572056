"""``edgevid regress --baseline FILE.json``: a baseline that a repository keeps, and how it is accepted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.regress_measures import Measures
from edgevid.cli.regress_options import Comparison, group
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.store.recorder import Recorder


@dataclass(frozen=True)
class BaselineFile:
    """Where the reference is that the file names, or the reason to accept another."""

    reference: str | None
    reason: str | None

    def resolved(
        self, comparison: Comparison, measures: Measures
    ) -> tuple[Comparison, dict[str, Any] | None]:
        """The comparison with the reference in place of the file; without it, a verdict that has no times."""
        from edgevid.benchmarks.regress import baseline

        named, candidate = comparison.bundles()
        if not baseline.is_file(named):
            if self.reference is not None:
                raise BenchmarkError(
                    "--reference is for --baseline FILE.json: leave it out, or pass the file"
                )
            return comparison, None
        path = Path(named)
        known = baseline.read(path)
        reference, why = baseline.reference_of(path, known, self.reference)
        if reference is None:
            threshold, counted = comparison.options().threshold, measures.values(candidate)
            return comparison, baseline.compare(
                path, known, candidate, threshold, why, counted, measures.threshold()
            )
        return dataclasses.replace(comparison, baseline=reference), None

    def accept(
        self, comparison: Comparison, measures: Measures, recorder: Recorder | None, commit: str | None
    ) -> None:
        """Write the candidate and the reason to the file, and to the store if there is one."""
        from edgevid.benchmarks.regress import baseline
        from edgevid.benchmarks.regress.series import acceptance_of

        named, candidate = comparison.bundles()
        if not baseline.is_file(named) or self.reference is not None:
            raise BenchmarkError(
                "--update-baseline writes --baseline FILE.json, with --candidate as the reference: pass a "
                "file whose name ends in .json, and no --reference"
            )
        baseline.require_reason(str(self.reason))
        counted = measures.values(candidate)
        written = baseline.accept(Path(named), candidate, str(self.reason), commit, counted)
        accepted = written.current
        if recorder is not None:
            recorder.add(
                acceptance_of(
                    accepted.bundle_sha256, written.model, accepted.reason, commit, dict(accepted.environment)
                )
            )
        click.echo(f"'{candidate}' is the reference of '{named}': {accepted.reason}", err=True)


baseline_options = group(
    "kept",
    BaselineFile,
    click.option("--reference", metavar="BUNDLE", help="Where the bundle is that FILE.json names."),
    click.option(
        "--update-baseline",
        "reason",
        metavar="REASON",
        help="Make the candidate the reference in FILE.json, and keep the reason there; compares nothing.",
    ),
)

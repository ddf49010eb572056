"""Adds each result to a store as soon as it is measured, and loses none if the store goes away meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgevid.benchmarks.store import lines, open_store
from edgevid.errors import BenchmarkError, first_line

UNSAVED = Path("edgevid-unsaved.jsonl")
"""Where results go while the store cannot be used, in the current folder."""


class Recorder:
    """Opens the store at ``where`` at once, so that a wrong address costs no measurement.

    ``say`` prints a line for the user. ``unsaved`` counts the results that the store does not have.
    """

    def __init__(self, where: str, say: Callable[[str], None], file: Path = UNSAVED) -> None:
        self._store, self._say, self._file = open_store(where), say, file
        self.unsaved = 0

    def add(self, result: dict[str, Any]) -> None:
        """Add a result; ``BenchmarkError`` only if neither the store nor the file can be written."""
        try:
            self._store.add(result)
        except BenchmarkError as error:
            self._keep(result, error)

    def known(self, measurement_ids: Sequence[str]) -> set[str]:
        """Which of these the store has."""
        return self._store.known(measurement_ids)

    def verdicts_like(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The other verdicts of the same network, reference, device and threads."""
        same = {name: record.get(name) for name in ("model", "threads", "reference_sha256")}
        for verdict in self._store.verdicts(device=record["environment"].get("device"), **same):
            if verdict["verdict_id"] != record["verdict_id"]:
                yield verdict

    def _keep(self, result: dict[str, Any], reason: BenchmarkError) -> None:
        try:
            lines.append(self._file, result)
        except (OSError, ValueError) as error:
            raise BenchmarkError(
                f"{reason}; and '{self._file}' cannot be written ({first_line(error)})"
            ) from reason
        self.unsaved += 1
        self._say(
            f"warning: {reason}; the result is in '{self._file.absolute()}': add it later with "
            f"'python -m edgevid.benchmarks.store STORE --import FILE'"
        )

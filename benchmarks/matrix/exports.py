"""The bundles of a matrix's models, exported once each and kept for the next run."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevid.backends import board_backend
from edgevid.benchmarks.matrix.plan import Cell
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError, BundleError, EdgevidError


class Exports:
    """Bundles in ``folder``. ``export(model, output=..., **options)`` is ``edgevid.export`` or a fake.

    An export that failed is not tried again in this run.
    """

    def __init__(
        self, folder: Path, say: Callable[[str], None], export: Callable[..., Any] | None = None
    ) -> None:
        self._folder, self._say, self._export = folder, say, export
        self._failures: dict[str, str] = {}

    def __call__(self, cell: Cell) -> str:
        """The folder of the cell's bundle; ``EdgevidError`` if it cannot be exported."""
        if cell.path is not None:
            return cell.path
        backend = board_backend(cell.device)
        parts = (cell.name, cell.target, cell.precision, backend.name if backend else None)
        name = ".".join(part for part in parts if part)
        folder = self._folder / name
        if name in self._failures:
            raise BenchmarkError(self._failures[name])
        if not _is_bundle(folder):
            options = {
                "target": cell.target,
                "precision": cell.precision,
                "backend": backend and backend.name,
            }
            self._say(f"{cell.name}: exporting to '{folder}' with random weights ...")
            try:
                self._write(cell.name, folder, {key: value for key, value in options.items() if value})
            except EdgevidError as error:
                self._failures[name] = str(error)
                raise
        return str(folder)

    def _write(self, model: str, folder: Path, options: dict[str, Any]) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            if self._export is None:
                import edgevid

                self._export = edgevid.export
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for results only
                self._export(model, output=folder, **options)
        except ImportError as error:
            if error.name is None or error.name.startswith("edgevid"):  # a bug, not a missing package
                raise
            raise BenchmarkError(
                f"exporting {model} needs {error.name}: pip install 'edgevid[export]', or name bundles"
            ) from error


def _is_bundle(folder: Path) -> bool:
    try:
        Bundle.open(folder)
    except BundleError:
        return False
    return True

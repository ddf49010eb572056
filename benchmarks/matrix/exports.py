"""Bundles of networks, exported once each and kept for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgevid.backends import board_backend
from edgevid.benchmarks.matrix.plan import Cell
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError, BundleError, EdgevidError
from edgevid.host.digest import sha256_of

FILES = ("weights", "calibration")
"""Options that name files: a bundle's folder has a hash in their place."""


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
        options = {
            "target": cell.target,
            "precision": cell.precision,
            "backend": backend and backend.name,
        }
        return self.bundle(cell.name, options)

    def bundle(self, model: str, options: Mapping[str, Any]) -> str:
        """The folder of ``model``, exported with ``options`` of ``edgevid.export``; None is the default."""
        options = {key: value for key, value in options.items() if value is not None}
        name = _name(model, options)
        folder = self._folder / name
        if name in self._failures:
            raise BenchmarkError(self._failures[name])
        if not _is_bundle(folder):
            weights = options.get("weights", "random weights")
            self._say(f"{model}: exporting to '{folder}' with {weights} ...")
            try:
                self._write(model, folder, options)
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


def _name(model: str, options: Mapping[str, Any]) -> str:
    """Such as ``tsm_mbv2.cpu.int8.frames16.1f0c8a2b``, the last part being of the weights' content."""
    parts = [model]
    for key, value in options.items():
        if key not in FILES:
            parts.append(f"{key}{value}" if isinstance(value, int) else value)
    files = {key: _identity(Path(options[key])) for key in FILES if key in options}
    if files:
        parts.append(hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8])
    return ".".join(parts)


def _identity(path: Path) -> str:
    return sha256_of(path) if path.is_file() else str(path.resolve())


def _is_bundle(folder: Path) -> bool:
    try:
        Bundle.open(folder)
    except BundleError:
        return False
    return True

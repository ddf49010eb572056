"""A bundle: a folder that holds a network for a device, and says everything about itself.

``manifest.json`` is its description (``specs.Manifest``), ``parity.npz`` an input with the eager network's
outputs, so that the bundle can check itself without torch. The rest is what the device needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgevid.digest import sha256_of
from edgevid.errors import BundleError
from edgevid.specs import (
    SCHEMA_VERSION,
    Artefact,
    Manifest,
    Parity,
    PassReport,
    Preprocessing,
    StateSpec,
    TensorSpec,
    Weights,
    from_dict,
)

MANIFEST, PARITY, LABELS = "manifest.json", "parity.npz", "labels.txt"
CACHE = "cache"
"""Folder of a bundle for what is made of it on a device; no part of what was exported, so it has no hash."""

TEMPORARY = ".edgevid-"


class Bundle:
    """A bundle on disk: ``path`` and ``manifest``. Opening it checks that its files are all there.

    ``digests`` are the SHA-256 of its files by name, as far as they were read and compared.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self.digests: dict[str, str] = {}

    @classmethod
    def open(cls, path: str | os.PathLike) -> Bundle:
        """Read a bundle; ``BundleError`` says what is missing, or that its schema is newer than we read."""
        folder = Path(path)
        manifest = _read_manifest(folder)
        for name in manifest.files:
            if not (folder / name).is_file():
                raise BundleError(
                    f"bundle '{folder}' lacks its file '{name}': copy it again, or export again"
                )
        return cls(folder, manifest)

    def check_files(self) -> None:
        """Raise ``BundleError`` for the first file that is not as it was written."""
        for name, digest in self.manifest.files.items():
            if sha256_of(self.path / name) != digest:
                raise BundleError(
                    f"bundle '{self.path}': '{name}' was changed after the export (its SHA-256 differs): "
                    "copy it again, or export again"
                )
            self.digests[name] = digest

    def __repr__(self) -> str:
        return f"Bundle({str(self.path)!r})"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Hash every file of ``folder`` and write the manifest, which is the last file of a bundle."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    hashes = {name.as_posix(): sha256_of(folder / name) for name in sorted(files) if name.parts[0] != CACHE}
    text = json.dumps({**asdict(manifest), "files": hashes}, indent=2)
    (folder / MANIFEST).write_text(text + "\n")


def check_destination(destination: Path, force: bool) -> None:
    """Refuse, before any work is done, a destination that cannot be written or must not be replaced."""
    if destination.exists() or destination.is_symlink():
        if not destination.is_dir() or destination.is_symlink():
            raise BundleError(f"'{destination}' exists and is not a folder: choose another with -o")
        if any(destination.iterdir()):
            if not (destination / MANIFEST).is_file():
                raise BundleError(
                    f"'{destination}' is not empty and not a bundle: choose another folder with -o"
                )
            if not force:
                raise BundleError(
                    f"'{destination}' exists: use --force to replace it, or -o for another folder"
                )
    with creating_in(destination.parent):
        tempfile.TemporaryFile(dir=destination.parent).close()


@contextlib.contextmanager
def writing(destination: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``destination`` as a whole when the block ends well.

    If it does not, the temporary folder goes and ``destination`` is as it was. Needs ``check_destination``.
    """
    parent = destination.parent
    with creating_in(parent):
        _remove_abandoned(parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-", dir=parent))
    try:
        with creating_in(parent):
            yield folder
            folder.chmod(0o755)
            _replace(destination, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def creating_in(parent: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into one clear line."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise BundleError(
            f"cannot write in '{parent}': {error.strerror or error}. Free space, or choose another with -o"
        ) from error


def _replace(destination: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + "-old")
    if destination.exists():
        os.rename(destination, old)
    try:
        os.rename(folder, destination)
    except BaseException:
        if old.exists():
            os.rename(old, destination)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Temporary folders whose export was killed outright; those of a running process are left alone."""
    for path in parent.glob(f"{TEMPORARY}*-*"):
        pid = path.name.removeprefix(TEMPORARY).split("-")[0]
        if pid.isdigit() and not _is_running(int(pid)) and not path.name.endswith("-old"):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(
            f"there is no bundle '{folder}': make one with 'edgevid export MODEL --target cpu -o {folder}'"
        )
    if not path.is_file():
        raise BundleError(
            f"'{folder}' has no {MANIFEST}, so it is not a bundle: give the folder that export wrote"
        )
    try:
        content = json.loads(path.read_text("utf-8"))
        schema = content["schema"]
        if isinstance(schema, int) and schema > SCHEMA_VERSION:
            raise BundleError(
                f"bundle '{folder}' has schema {schema}, this edgevid reads up to {SCHEMA_VERSION}: "
                "update it (pip install -U edgevid)"
            )
        return _manifest(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"'{path}' cannot be read ({error}): copy the bundle again, or export again"
        ) from None


def _manifest(content: dict[str, Any]) -> Manifest:
    many = {"inputs": TensorSpec, "outputs": TensorSpec, "states": StateSpec, "passes": PassReport}
    one = {"preprocessing": Preprocessing, "weights": Weights, "parity": Parity}
    values = dict(content)
    for name, kind in many.items():
        values[name] = [from_dict(kind, item) for item in content[name]]
    for name, kind in one.items():
        values[name] = from_dict(kind, content[name])
    values["artefacts"] = [
        from_dict(Artefact, {**item, "parity": item["parity"] and from_dict(Parity, item["parity"])})
        for item in content["artefacts"]
    ]
    return from_dict(Manifest, values)

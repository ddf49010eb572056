"""A bundle: a self-describing folder that holds a network for a device.

``manifest.json`` describes it (``specs.Manifest``); ``parity.npz`` holds an input with the eager network's
outputs, so that a bundle can be verified without torch. The other files are what the device needs. A bundle
may be untrusted: no file is read before its path is known to stay in the folder and its hash to match.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgevid.bundle import manifest as manifests
from edgevid.bundle.manifest import LABELS, MANIFEST, MANIFEST_HASH
from edgevid.errors import BundleError
from edgevid.host.digest import sha256_of
from edgevid.host.files import atomic_folder, remove_abandoned
from edgevid.host.safe_paths import read_bounded, regular_file
from edgevid.specs import CACHE, PARITY, Manifest

__all__ = ["CACHE", "LABELS", "MANIFEST", "PARITY", "Bundle", "write_manifest", "writing"]


class Bundle:
    """A bundle on disk: ``path`` and ``manifest``. Opening it checks the manifest and finds the files.

    ``digests`` are the SHA-256 of its files by name, as far as they were read and compared.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self.digests: dict[str, str] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a bundle.

        Raises ``BundleError`` for a missing or changed file, an invalid manifest key, a path that leaves the
        folder, or an unsupported schema.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise BundleError(
                f"there is no bundle '{folder}': "
                f"make one with 'edgevid export MODEL --target cpu -o {folder}'"
            )
        if not os.path.lexists(folder / MANIFEST):
            raise BundleError(f"'{folder}' has no {MANIFEST}, so it is not a bundle: pass an exported folder")
        bundle = cls(folder, manifests.read(folder))
        for name in bundle.manifest.files:
            bundle.file(name)
        return bundle

    @property
    def sha256(self) -> str:
        """The hash of the manifest, which lists the hash of every other file."""
        return sha256_of(self.path / MANIFEST)

    def file(self, name: str) -> Path:
        """The path of a file of the bundle. Raises ``BundleError`` unless it is a listed, regular file."""
        with self._refusing(name):
            if name not in self.manifest.files:
                raise ValueError("is not in its manifest")
            return regular_file(self.path, name)

    def read(self, name: str, limit: int) -> bytes:
        """The content of a file of at most ``limit`` bytes. Raises ``BundleError`` if its hash differs."""
        self.file(name)
        self._check(name)
        with self._refusing(name):
            return read_bounded(self.path, name, limit)

    def check_files(self) -> None:
        """Raise ``BundleError`` for the first file whose hash differs."""
        for name in self.manifest.files:
            self._check(name)

    def _check(self, name: str) -> None:
        if name in self.digests:
            return
        digest = self.manifest.files[name]
        if sha256_of(self.file(name)) != digest:
            raise BundleError(
                f"bundle '{self.path}': '{name}' was changed after the export (its SHA-256 differs): "
                "copy it again, or export again"
            )
        self.digests[name] = digest

    @contextlib.contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise BundleError(
                f"bundle '{self.path}' lacks its file '{name}': copy it again, or export again"
            ) from None
        except ValueError as reason:
            raise BundleError(f"bundle '{self.path}': its file '{name}' {reason}: do not use it") from None

    def __repr__(self) -> str:
        return f"Bundle({str(self.path)!r})"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Hash every file of ``folder``, then write the manifest and its hash, the last files of a bundle."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    others = [name for name in sorted(files) if name.parts[0] not in (CACHE, MANIFEST, MANIFEST_HASH)]
    manifests.write(folder, manifest, {name.as_posix(): sha256_of(folder / name) for name in others})


def check_destination(destination: Path, force: bool) -> None:
    """Refuse, before any work is done, a destination that cannot be written or must not be replaced."""
    check_replaceable(destination, force, MANIFEST, "not a bundle")
    with creating_in(destination.parent):
        tempfile.TemporaryFile(dir=destination.parent).close()


def check_replaceable(destination: Path, force: bool, file: str, without_it: str) -> None:
    """Refuse a destination that holds anything, unless it has ``file`` and ``force`` is set.

    The message says what a folder is ``without_it``.
    """
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise BundleError(f"'{destination}' exists and is not a folder: choose another with -o")
    if destination.is_dir() and any(destination.iterdir()):
        if not (destination / file).is_file():
            raise BundleError(f"'{destination}' is not empty and {without_it}: choose another folder with -o")
        if not force:
            raise BundleError(f"'{destination}' exists: use --force to replace it, or -o for another folder")


@contextlib.contextmanager
def writing(destination: Path) -> Iterator[Path]:
    """Yield a temporary folder that atomically replaces ``destination`` when the block succeeds.

    If it fails, the temporary folder is deleted and ``destination`` is unchanged. Call ``check_destination``
    or ``check_replaceable`` first.
    """
    with creating_in(destination.parent):
        remove_abandoned(destination.parent)
        with atomic_folder(destination) as folder:
            yield folder
            folder.chmod(0o755)


@contextlib.contextmanager
def creating_in(parent: Path) -> Iterator[None]:
    """Turn errors of the operating system on writing into one-line ``BundleError`` messages."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise BundleError(
            f"cannot write in '{parent}': {error.strerror or error}. Free space, or choose another with -o"
        ) from error

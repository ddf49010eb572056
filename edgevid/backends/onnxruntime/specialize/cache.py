"""The cache of specialized models: a folder for each model, processor, instruction set and ONNX Runtime.

Entries are written atomically: in a temporary folder that is then renamed. An entry's record holds the hash
of each of its files and begins with a signature, so that an entry that is corrupt, or that another user made
(``local_cache``), is made again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from edgevid import onnxfile
from edgevid.host.cache import temporary_folder
from edgevid.host.digest import sha256_of
from edgevid.host.files import atomic_folder
from edgevid.host.local_cache import entry_name, seal, unseal
from edgevid.host.processor import model
from edgevid.host.safe_paths import read_bounded

RECORD = "record"
MAX_BYTES = 16 << 20


class Cache:
    """The entry of a model's ``files`` in ``folder`` (None: a temporary folder of this process).

    Files whose SHA-256 ``digests`` gives by name are not read.
    """

    def __init__(
        self,
        folder: Path | None,
        files: list[Path],
        identity: tuple[str, ...],
        digests: Mapping[str, str] | None = None,
    ) -> None:
        digests_by_name = digests or {}
        hashes = [f"{file.name}{digests_by_name.get(file.name) or sha256_of(file)}" for file in files]
        self._parent = folder
        self._name = _name(files[0].stem, hashes, identity)

    def load(self) -> tuple[Path, dict] | None:
        """The entry's folder and record; None if it is missing or not as it was written."""
        for parent in (self._parent, temporary_folder()):
            if parent is not None and (record := _read(parent / self._name)) is not None:
                return parent / self._name, record
        return None

    def store(self, make: Callable[[Path], dict]) -> tuple[Path, dict]:
        """Store the folder that ``make`` fills and the record that it returns; returns both."""
        entry = _writable(self._parent) / self._name
        with atomic_folder(entry, keep=lambda: _read(entry) is not None) as folder:
            record = make(folder)
            files = {file.name: sha256_of(file) for file in folder.iterdir()}
            text = json.dumps({**record, "files": files}, indent=2) + "\n"
            (folder / RECORD).write_bytes(seal(self._name, text.encode()))
        return entry, record


def _name(stem: str, hashes: list[str], identity: tuple[str, ...]) -> str:
    import onnxruntime

    return entry_name(stem, (identity, model(), onnxruntime.__version__, _code(), *hashes))


@functools.cache
def _code() -> str:
    """A hash of the code that makes the entries, so that a new version does not use old entries."""
    folders = (Path(__file__).parent, Path(onnxfile.__file__).parent)
    return "".join(sha256_of(file) for folder in folders for file in sorted(folder.glob("*.py")))


def _read(entry: Path) -> dict | None:
    try:
        content = unseal(entry.name, read_bounded(entry, RECORD, MAX_BYTES))
        if content is None:
            return None
        record = json.loads(content)
        for name, digest in record.pop("files").items():
            if sha256_of(entry / name) != digest:
                return None
        return record if {"reason", "ops"} <= record.keys() else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _writable(folder: Path | None) -> Path:
    if folder is not None:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
    return temporary_folder()

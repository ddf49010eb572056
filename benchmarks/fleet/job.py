"""What runs on a Dask worker: one measurement of a bundle, which travels there once."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.protocol import Settings
from edgevid.errors import EdgevidError
from edgevid.host.cache import cache_folder
from edgevid.host.files import atomic_folder

BUNDLES = "fleet"


@dataclass(frozen=True)
class Job:
    """One measurement; ``packed`` is the bundle if the worker does not have that of hash ``sha256`` yet."""

    sha256: str
    scenario: str
    address: str
    threads: int | None
    duration_s: float | None
    settings: Settings
    pinned: bool
    power: str | None
    packed: bytes | None = None

    def with_bundle(self, folder: str) -> Job:
        return replace(self, packed=pack(Path(folder)))


def run_job(job: Job) -> dict[str, Any]:
    """``{"result": ...}``, ``{"failure": reason}``, or ``{"missing": True}`` if the bundle must come too."""
    from edgevid.benchmarks.harness.harness import measure

    folder = cache_folder() / BUNDLES / job.sha256
    if not folder.is_dir():
        if job.packed is None:
            return {"missing": True}
        unpack(job.packed, folder)
    try:
        result = measure(
            folder,
            job.scenario,
            job.duration_s,
            job.threads,
            device=job.address,
            settings=job.settings,
            pinned=job.pinned,
            power=job.power,
        )
    except (EdgevidError, OSError) as error:
        return {"failure": str(error)}
    return {"result": result}


def pack(folder: Path) -> bytes:
    """The files of a bundle as a zip file, without compression: weights have nothing to compress."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder, keep=folder.is_dir) as new, zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(new)

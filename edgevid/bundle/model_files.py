"""Check that the ONNX files of a bundle read no file that is not part of it."""

from __future__ import annotations

import mmap
from pathlib import Path, PurePosixPath

from edgevid.bundle.bundle import Bundle
from edgevid.errors import BundleError
from edgevid.onnxfile.external_files import external_files


def check_models(bundle: Bundle) -> None:
    """``BundleError`` if an ONNX file is invalid, or reads a file that is not in the manifest.

    Names in a manifest lie inside the bundle, and ``Bundle.open`` has refused links.
    """
    for name in bundle.manifest.files:
        if name.endswith(".onnx"):
            _check(bundle, name)


def _check(bundle: Bundle, name: str) -> None:
    try:
        locations = external_files(_mapped(bundle.file(name)))
    except (ValueError, RecursionError) as error:
        reason = "graphs are nested too deeply" if isinstance(error, RecursionError) else error
        raise BundleError(
            f"bundle '{bundle.path}': '{name}' cannot be used ({reason}): export again"
        ) from None
    for location in locations:
        if (PurePosixPath(name).parent / location).as_posix() not in bundle.manifest.files:
            raise BundleError(
                f"bundle '{bundle.path}': '{name}' reads the file {ascii(location)[:80]}, which is not in "
                "the manifest: do not use it"
            )


def _mapped(path: Path) -> memoryview:
    with open(path, "rb") as file:
        if path.stat().st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

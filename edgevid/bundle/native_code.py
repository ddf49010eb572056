"""Find the files of a bundle that are code, and what runs them, without opening any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgevid.bundle.bundle import CACHE, Bundle

LIBRARIES = (".so", ".dll", ".dylib")
ENGINES = (".engine",)
SCRIPTS = (".sh", ".py", ".bat", ".ps1")
SOURCES = (".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".kt", ".java", ".mk", "makefile")
OPENING = "opening this bundle runs it"


def native_code(bundle: Bundle) -> dict[str, str]:
    """What runs each file that is code, by file name; includes files that are not in the manifest."""
    code = {}
    for name in sorted({*bundle.manifest.files, *_on_disk(bundle.path)}):
        if trigger := _runs(bundle, name):
            listed = name in bundle.manifest.files
            code[name] = trigger if listed else f"{trigger}; it is not in the manifest, so it is not verified"
    return code


def opening_runs_code(bundle: Bundle) -> bool:
    """Whether a session of this bundle runs machine code that came with it."""
    return OPENING in native_code(bundle).values()


def _runs(bundle: Bundle, name: str) -> str | None:
    lower = name.lower()
    if lower.endswith(LIBRARIES):
        return OPENING if name == bundle.manifest.model_file else "runs when a program loads it"
    if lower.endswith(ENGINES):
        return "TensorRT runs it when run.sh, or another program, loads it"
    if lower.endswith(SCRIPTS):
        return "runs when you start it"
    if lower.endswith(SOURCES):
        return "runs when a script of the bundle, or you, compile and load it"
    return None


def _on_disk(folder: Path) -> Iterator[str]:
    """Every file outside the cache, whose entries are trusted only on the machine that signed them."""
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder and CACHE in folders:
            folders.remove(CACHE)
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()

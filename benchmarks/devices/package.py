"""edgevid's own files that measure a bundle, for a board that has not got them: no torch, no exporter."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import edgevid

NEEDED = ("numpy", "onnxruntime", "msgspec", "psutil")
"""What they import: the packages that a board's Python must have."""
FOR_VIDEO = ("av", "PIL")
"""What a scenario with cameras imports besides."""
DISTRIBUTIONS = {"PIL": "pillow"}
"""What pip calls a package by another name."""
FOR_ENGINES = "tensorrt"
"""The package that also runs a bundle's engine; without it the board's trtexec does."""

SUFFIXES = (".py", ".toml", ".cpp", ".h", ".txt")
LEFT_OUT = tuple(
    f"edgevid/{name}/" for name in ("zoo", "exporter", "weights", "passes", "cli", "benchmarks/experiments")
)
ELSEWHERE = ("kernels", "benchmarks", "targets")
"""Packages inside edgevid that lie beside it in a checkout."""


def install(packages: Sequence[str] = NEEDED) -> str:
    """The command that gives a board what it lacks, in an environment that is found there."""
    names = " ".join(DISTRIBUTIONS.get(name, name) for name in packages)
    return f"python3 -m venv ~/.edgevid && ~/.edgevid/bin/pip install {names}"


@functools.cache
def package_files() -> Mapping[str, bytes]:
    """Contents by name, as they lie in a folder of ``sys.path``."""
    files = {}
    for folder, prefix in _folders():
        for path in sorted(folder.rglob("*")):
            name = f"{prefix}{path.relative_to(folder).as_posix()}"
            if path.suffix in SUFFIXES and not name.startswith(LEFT_OUT):
                files[name] = path.read_bytes()
    # By which importlib.metadata knows the version.
    metadata = f"Metadata-Version: 2.1\nName: edgevid\nVersion: {edgevid.__version__}\n"
    return {**files, f"edgevid-{edgevid.__version__}.dist-info/METADATA": metadata.encode()}


@functools.cache
def package_digests() -> Mapping[str, str]:
    """The SHA-256 of each file by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in package_files().items()}


def package_identity() -> str:
    return hashlib.sha256(json.dumps(sorted(package_digests().items())).encode()).hexdigest()


def _folders() -> list[tuple[Path, str]]:
    """Each folder with files of ours, and what their names begin with."""
    own = Path(edgevid.__file__).parent
    folders = [(own, "edgevid/")]
    for name in ELSEWHERE:
        module = importlib.import_module(f"edgevid.{name}")
        folder = Path(next(iter(module.__path__)))
        if folder.parent != own:
            folders.append((folder, f"edgevid/{name}/"))
    return folders

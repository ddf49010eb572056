"""The subjects of a command: bundles' folders, or networks by name, which are exported first."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from edgevid.errors import BenchmarkError

DEFAULT_TARGET = "cpu"


@dataclass(frozen=True)
class Subject:
    """What to measure: a bundle's folder, or the name of a network, which is exported first."""

    name: str
    is_model: bool


def is_model(name: str) -> bool:
    from edgevid.zoo import MODELS

    return name in MODELS


def find(name: str) -> Subject:
    """The bundle or network ``name``, a folder first; ``EdgevidError`` if it is neither, or is damaged."""
    from edgevid.bundle.bundle import MANIFEST, Bundle
    from edgevid.zoo import MODELS

    path = Path(name)
    if path.is_dir():
        if not (path / MANIFEST).exists():
            raise BenchmarkError(
                f"'{name}' is not a bundle (it has no {MANIFEST}): create one with 'edgevid export'"
            )
        Bundle.open(path)
        return Subject(name, is_model=False)
    if path.exists():
        raise BenchmarkError(f"'{name}' is a file: pass a bundle's folder, as 'edgevid export' creates it")
    if ":" in name:
        raise BenchmarkError(
            f"export your own network first: 'edgevid export {name} --target cpu -o DIR', "
            "then 'edgevid bench DIR'"
        )
    if name not in MODELS and (path.name != name or path.suffix):
        raise BenchmarkError(
            f"the folder '{name}' does not exist: check the path, or create it with 'edgevid export'"
        )
    MODELS[name]  # raises with the nearest names
    return Subject(name, is_model=True)


def refuse_swallowed(subjects: tuple[str, ...], json_to: str | None, command: str) -> None:
    """Refuse no subject at all, and ``--json BUNDLE``, where click takes the bundle as the output file."""
    call = f"edgevid {command}"
    if json_to is not None and json_to != "-" and (Path(json_to).is_dir() or is_model(json_to)):
        names = " ".join([*subjects, json_to])
        raise BenchmarkError(
            f"--json took '{json_to}' as the file to write: "
            f"use '{call} {names} --json' (to print JSON) or '{call} {names} --json FILE'"
        )
    if not subjects:
        raise BenchmarkError(
            f"nothing to measure: pass a bundle's folder or a network, for example '{call} tsm_mbv2'"
        )


def check_target(subjects: list[Subject], target: str | None) -> None:
    """A bundle already has a target, which ``--target`` must match."""
    if target is None:
        return
    for subject in subjects:
        bundle_target = None if subject.is_model else _target_of(subject.name)
        if bundle_target not in (None, target):
            raise BenchmarkError(
                f"bundle '{subject.name}' was exported for '{bundle_target}', not '{target}': "
                f"leave --target out, or export again with --target {target}"
            )


def _target_of(bundle: str) -> str:
    from edgevid.bundle.bundle import Bundle

    return Bundle.open(bundle).manifest.target


def bundle_of(subject: Subject, target: str | None, backend: str | None, folder: Path) -> str:
    """The bundle's folder; a network is first exported to ``folder`` with random weights.

    ``backend`` None is the target's.
    """
    if not subject.is_model:
        return subject.name
    import edgevid

    target = target or DEFAULT_TARGET
    click.echo(f"{subject.name}: exporting for {target} with random weights ...", err=True)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results only
            options = {"backend": backend} if backend else {}
            edgevid.export(subject.name, target=target, output=folder, **options)
    except ImportError as error:
        if error.name is None or error.name.startswith("edgevid"):  # a bug, not a missing package
            raise
        raise BenchmarkError(
            f"exporting {subject.name} needs {error.name}: pip install 'edgevid[export]', "
            "or measure a bundle that was exported elsewhere"
        ) from error
    return str(folder)

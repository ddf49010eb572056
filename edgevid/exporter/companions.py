"""Companion backends: a target can add the libraries of other backends, each in a folder of its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends import BACKENDS
from edgevid.backends.protocol import Compiled, Job
from edgevid.errors import BackendError, ExportError

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.exporter.request import Request


def compile_all(
    request: Request, graph: ir.Model, job: Job, folder: Path, progress: Callable[[str], None]
) -> Compiled:
    """Compile with the requested backend and, if it is the target's first, with its companion backends.

    ``graph`` may be modified. A companion that cannot be compiled here is left out, and ``not_run`` says why.
    """
    progress(f"compiling for {request.target.name} with {request.backend.name}")
    companions = _companions(request)
    copies = {name: graph.clone() for name in companions}
    compiled = request.backend.compile(graph, job, folder)
    for name in companions:
        backend = BACKENDS[name]
        progress(f"compiling for {request.target.name} with {name} too")
        try:
            (folder / name).mkdir()
            companion = backend.compile(copies[name], job, folder / name)
        except (BackendError, ExportError) as reason:
            shutil.rmtree(folder / name)
            compiled = replace(compiled, not_run=(*compiled.not_run, f"{name}/, left out: {reason}"))
            continue
        compiled = replace(
            compiled,
            artefacts=(
                *compiled.artefacts,
                *(replace(artefact, file=f"{name}/{artefact.file}") for artefact in companion.artefacts),
            ),
            not_run=(*compiled.not_run, *(f"{name}/{sentence}" for sentence in companion.not_run)),
        )
    return compiled


def _companions(request: Request) -> tuple[str, ...]:
    if request.backend.name != request.target.backend:
        return ()
    names = request.target.device.companions
    return tuple(name for name in names if request.precision in BACKENDS[name].precisions)

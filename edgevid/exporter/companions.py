"""A target can want the libraries of other backends beside its own: each in a folder of its name."""

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
    """What the backend asked for makes in ``folder``, and with the target's own one those beside it.

    ``graph`` may be changed. A library that cannot be made here is left out, and ``not_run`` says why.
    """
    progress(f"compiling for {request.target.name} with {request.backend.name}")
    beside = _beside(request)
    copies = {name: graph.clone() for name in beside}
    compiled = request.backend.compile(graph, job, folder)
    for name in beside:
        backend = BACKENDS[name]
        progress(f"compiling for {request.target.name} with {name} too")
        try:
            (folder / name).mkdir()
            made = backend.compile(copies[name], job, folder / name)
        except (BackendError, ExportError) as reason:
            shutil.rmtree(folder / name)
            compiled = replace(compiled, not_run=(*compiled.not_run, f"{name}/, left out: {reason}"))
            continue
        compiled = replace(
            compiled,
            artefacts=(
                *compiled.artefacts,
                *(replace(artefact, file=f"{name}/{artefact.file}") for artefact in made.artefacts),
            ),
            not_run=(*compiled.not_run, *(f"{name}/{sentence}" for sentence in made.not_run)),
        )
    return compiled


def _beside(request: Request) -> tuple[str, ...]:
    if request.backend.name != request.target.backend:
        return ()
    companions = request.target.device.companions
    return tuple(name for name in companions if request.precision in BACKENDS[name].precisions)

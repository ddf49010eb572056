"""The files of an Android app: the network with kernels inserted, their library, and sample sources.

A phone has no Python to insert the kernels when the network is opened, so it is done at export: in plain
layout, which ONNX Runtime uses on arm64. The app registers the library and opens ``model.kernels.ort``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.backends.readme import write_readme
from edgevid.specs import Artefact

KERNELS_MODEL = "model.kernels.ort"
ANDROID, SAMPLE, BUILD_SCRIPT = "android", "EdgevidNetwork.kt", "build.sh"
TEMPLATES = files("edgevid.backends.onnxruntime") / "templates"
SAMPLE_NOT_RUN = f"{ANDROID}/{SAMPLE} and {ANDROID}/{BUILD_SCRIPT} with Android's own tools"


def write_android(
    job, source: Path, folder: Path, backend_not_run: Sequence[str]
) -> tuple[tuple[Artefact, ...], tuple[str, ...]]:
    """Write the app's files into ``folder``; ``source`` is the ONNX model with temporal ops as nodes.

    Returns the model file, if it could be made, and the ``not_run`` sentences: what is missing or was not
    tried here. The README lists these after ``backend_not_run``, the backend's own.
    """
    artefacts, not_run = (), [SAMPLE_NOT_RUN]
    if reason := _write_kernels_model(source, folder):
        not_run.append(f"{KERNELS_MODEL}, left out: {reason}")
    else:
        purpose = "ONNX Runtime for Android, with the library of kernels"
        artefacts = (Artefact(KERNELS_MODEL, "fp32", purpose, opened_by="onnxruntime"),)
    not_run.append(_write_library(folder / ANDROID))
    _write_sources(folder / ANDROID)
    _write_readme(job, folder, artefacts, [*backend_not_run, *not_run])
    return artefacts, tuple(not_run)


def save_ort_format(source: Path, destination: Path, configure=lambda options: None) -> None:
    """Save the ONNX model at ``source`` in ORT format; ``configure`` sets the session's options."""
    options = session_options()
    configure(options)
    options.optimized_model_filepath = str(destination)
    options.add_session_config_entry("session.save_model_format", "ORT")
    # The blocked layout is that of this processor; a file for a phone must not hold it.
    cpu_session(source, options, in_blocks=False)


def _write_kernels_model(source: Path, folder: Path) -> str:
    """Write the model; returns the reason if it cannot be made, else an empty string."""
    from edgevid.backends.onnxruntime.specialize.coverage import temporal_ops
    from edgevid.backends.onnxruntime.specialize.pipeline import write_plain
    from edgevid.backends.onnxruntime.specialize.runtime import MODEL, load_as_optimized
    from edgevid.kernels.common import build
    from edgevid.onnxfile.graph import Model

    if not temporal_ops(Model(source.read_bytes())):
        return "the network has no temporal op, so that model.ort loses nothing"
    library = build.library_or_reason()
    if isinstance(library, str):
        return f"making it takes a run of the kernels, and {library}"
    with tempfile.TemporaryDirectory(prefix=".plain-", dir=folder) as work:
        record = write_plain(source, Path(work), library, threads=1)
        if record["reason"]:
            return record["reason"]
        save_ort_format(
            Path(work) / MODEL, folder / KERNELS_MODEL, lambda options: load_as_optimized(options, library)
        )
    return ""


def _write_library(folder: Path) -> str:
    """Write the kernel library; returns its ``not_run`` sentence."""
    from edgevid.kernels.common.android.build import LIBRARY, AndroidBuildError, android_library

    path = Path("jniLibs/arm64-v8a") / LIBRARY
    (folder / path).parent.mkdir(parents=True)
    try:
        shutil.copyfile(android_library(), folder / path)
    except AndroidBuildError as error:
        return f"{ANDROID}/{path}, left out: {error}; {ANDROID}/{BUILD_SCRIPT} builds it with Android's NDK"
    return f"{ANDROID}/{path} on Android"


def _write_sources(folder: Path) -> None:
    from edgevid.kernels.common import build

    for source in build.sources("*.cpp", "*.h"):
        copy = folder / "kernels" / source.relative_to(build.SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    (folder / SAMPLE).write_text((TEMPLATES / SAMPLE).read_text("utf-8"), "utf-8")
    (folder / BUILD_SCRIPT).write_text((TEMPLATES / "android.build.sh").read_text("utf-8"), "utf-8")
    (folder / BUILD_SCRIPT).chmod(0o755)


def _write_readme(job, folder: Path, artefacts: tuple[Artefact, ...], not_run: list[str]) -> None:
    import onnxruntime

    write_readme(
        folder,
        job,
        "onnxruntime",
        TEMPLATES / "README.android.md",
        onnxruntime=onnxruntime.__version__,
        file=KERNELS_MODEL if artefacts else "model.ort",
        kernels="true" if artefacts else "false",
        not_run="; ".join(not_run),
    )

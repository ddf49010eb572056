"""TVM: compiles a network to one library, for this processor or for an arm64 device.

``model.so`` holds machine code and weights; ``model.json`` says what its function takes and gives, and which
processor it needs. A device runs it with TVM's runtime alone.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from edgevid.backends.protocol import OpenOptions, RemoteRunner
from edgevid.backends.tvm.description import DESCRIPTION, INSTALL, Description, read_description
from edgevid.errors import BackendError
from edgevid.specs import LOCAL, Artefact, Availability

if TYPE_CHECKING:
    from edgevid.backends.tvm.runner import TvmRunner

NAME = "tvm"
MODEL, GPU_MODEL = "model.so", "model_cuda.so"
GPU_LINE = (
    f"| `{GPU_MODEL}` | the same for the GPU, on `tvm.cuda()`: a TVM with CUDA, which compiles it with the "
    "board's nvcc when it is opened |\n"
)
WITH_PYTHON = (
    "On the device, Python 3.10 or later: `pip install 'edgevid[tvm]'`, or for the library alone\n"
    "`pip install apache-tvm=={tvm} apache-tvm-ffi=={ffi}`.",
    "`edgevid run {folder} --video FILE`, `edgevid bench {folder}`, and\n"
    "`edgevid inspect {folder} --verify`, which compares with PyTorch's answer without PyTorch. With\n"
    "`TVM_USE_RUNTIME_LIB=1` in the environment TVM leaves out its compiler, which saves 100 MB of memory.\n",
)
IN_AN_APP = (
    "The app brings the runtime of TVM {tvm} (`libtvm_ffi.so`, `libtvm_runtime.so`) built for Android, and\n"
    "loads it with its names visible to libraries that are loaded later (`RTLD_GLOBAL`).",
    "The bundle runs inside an app.",
)
"""How a device comes to run a library: what it installs, and what it calls."""

_stand_ins: dict[Path, tempfile.TemporaryDirectory] = {}
"""Libraries for other processors that were just made: the same network compiled for this one."""


def available() -> Availability:
    if importlib.util.find_spec("tvm") is None:
        return Availability(False, "", "TVM is not installed", INSTALL)
    return Availability(True, f"TVM {_version()}")


def compile(graph, job, folder: Path):
    """``model.so`` and ``model.json``; for boards a README too, for those with a GPU ``model_cuda.so``.

    A library for another processor is checked as the same network compiled for this one. Raises
    ``BackendError`` where TVM or a linker is missing, ``ExportError`` for an operator that it cannot take.
    """
    from edgevid.backends.protocol import Compiled
    from edgevid.backends.tvm.build import blame, compile_module, import_graph, write_library
    from edgevid.backends.tvm.cuda import architecture_of
    from edgevid.backends.tvm.toolchain import device_for

    _need_tvm()
    if os.environ.get("TVM_USE_RUNTIME_LIB") == "1":
        raise BackendError("TVM_USE_RUNTIME_LIB=1 leaves out TVM's compiler: unset it to export")
    device = device_for(job.target)
    device.linker()  # that it is missing should be said before minutes of compiling
    names = tuple(value.name for value in graph.graph.inputs), tuple(v.name for v in graph.graph.outputs)
    copies = graph.clone(), graph.clone()
    module, kernels, passes = import_graph(graph, device.machine)
    try:
        executable = compile_module(module, device)
    except Exception as error:  # TVM's errors have no common base
        raise blame(graph, device, error) from error
    write_library(executable, device, folder / MODEL)
    _describe(folder, device, *names)
    not_run = []
    if not device.is_here:
        not_run.append(_make_stand_in(copies[0], folder, job, names))
    if architecture := architecture_of(job.target):
        not_run.append(_write_gpu_library(copies[1], architecture, device, folder))
    if job.target.architecture != "any":
        _write_readme(job, folder, device, not_run)
    artefact = Artefact(MODEL, "fp32", f"TVM {_version()}, {device.architecture} ({device.isa})", NAME)
    return Compiled(MODEL, (artefact,), kernels, passes, tuple(not_run))


def _make_stand_in(graph, folder: Path, job, names: tuple) -> str:
    """Compile ``graph`` for this processor, to be opened in place of the library; says what was not run."""
    from edgevid.backends.tvm.build import compile_module, import_graph, write_library
    from edgevid.backends.tvm.toolchain import here

    stand_in = tempfile.TemporaryDirectory()
    module, _, _ = import_graph(graph, here().machine)
    write_library(compile_module(module, here()), here(), Path(stand_in.name) / MODEL)
    _describe(Path(stand_in.name), here(), *names)
    _stand_ins[(folder / MODEL).resolve()] = stand_in
    return (
        f"{MODEL} on a device of target {job.target.name} (what was checked is the same network compiled "
        f"for {here().architecture}, where the bundle was made)"
    )


def _write_gpu_library(graph, architecture: str, device, folder: Path) -> str:
    """``model_cuda.so``; says that it was not run, and what was tried of it, or why there is none."""
    from edgevid.backends.tvm import cuda
    from edgevid.backends.tvm.build import last_line, write_library

    try:
        executable = cuda.compile_for_gpu(cuda.import_for_gpu(graph), architecture, device)
    except Exception as error:  # TVM's errors have no common base
        return f"{GPU_MODEL}, left out: TVM cannot compile the network for a GPU ({last_line(error)})"
    write_library(executable, device, folder / GPU_MODEL)
    size = cuda.compile_sources(executable, architecture, device)
    tried = "no nvcc that knows it was at hand" if size is None else f"nvcc compiled it to {size} bytes"
    return f"{GPU_MODEL} on a GPU ({architecture}, TVM's default schedules: {tried})"


def _write_readme(job, folder: Path, device, not_run: Sequence[str]) -> None:
    text = (files("edgevid.backends.tvm") / "templates" / "README.tvm.md").read_text("utf-8")
    install, run = IN_AN_APP if device.architecture.endswith("android") else WITH_PYTHON
    readme = Template(text).substitute(
        model=job.model,
        target=job.target.name,
        title=job.target.title,
        tvm=_version(),
        install=install.format(tvm=_version(), ffi=importlib.metadata.version("apache-tvm-ffi")),
        run=run.format(folder=f"{job.model}.{job.target.name}.{NAME}"),
        processor=f"{device.architecture} ({device.isa})",
        inputs="; ".join(job.describe_inputs()),
        states=job.describe_states(),
        gpu=GPU_LINE if (folder / GPU_MODEL).is_file() else "",
        not_run="; ".join(not_run) or "nothing",
    )
    (folder / "README.md").write_text(readme)


def _describe(folder: Path, device, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    description = Description(_version(), device.architecture, device.isa, inputs, outputs)
    (folder / DESCRIPTION).write_text(json.dumps(asdict(description), indent=1) + "\n")


def open_model(artefact: Artefact, folder: Path, options: OpenOptions) -> TvmRunner | RemoteRunner:
    """Open a library here, or on a board that a tracker of TVM lends.

    Raises ``BackendError`` if it is for another processor or another TVM, or TVM is not installed.
    """
    from edgevid.backends.tvm.runner import TvmRunner
    from edgevid.backends.tvm.toolchain import missing_flags, this_architecture
    from edgevid.host.processor import usable_cores

    path = folder / artefact.file
    if options.device != LOCAL:
        from edgevid.backends.tvm.rpc import open_remote

        return open_remote(path, options.device, options.threads)
    _need_tvm()
    if path.resolve() in _stand_ins:
        path = Path(_stand_ins[path.resolve()].name) / MODEL
    description = read_description(path)
    if description.architecture != this_architecture():
        raise BackendError(
            f"'{path}' is for {description.architecture}, and this machine is {this_architecture()}: run it "
            "on the device, or export again with --target cpu"
        )
    missing = missing_flags(description.isa)
    if missing:
        raise BackendError(
            f"'{path}' needs a processor with {', '.join(missing)}: export it again on this machine"
        )
    return TvmRunner(path, description.inputs, description.outputs, options.threads or usable_cores())


def check_address(device: str) -> None:
    """``BackendError`` for what is not ``rpc://HOST:PORT/KEY``."""
    from edgevid.backends.tvm.rpc import Address

    Address.parse(device)


def _need_tvm() -> None:
    """``BackendError`` without TVM; with it, its threads are settled before it makes the first."""
    from edgevid.backends.tvm.runner import prepare_threads

    if importlib.util.find_spec("tvm") is None:
        raise BackendError(f"TVM is not installed: {INSTALL}")
    prepare_threads()


def _version() -> str:
    return importlib.metadata.version("apache-tvm")

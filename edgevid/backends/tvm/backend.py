"""TVM: compiles a network to one library, for this processor or for an arm64 device.

``model.so`` has machine code and weights; ``model.json`` has the inputs and outputs of its function, and the
processor that it needs. A device runs it with only TVM's runtime.
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
from typing import TYPE_CHECKING

from edgevid.backends.protocol import OpenOptions, RemoteRunner
from edgevid.backends.readme import write_readme
from edgevid.backends.tvm.description import DESCRIPTION, INSTALL, Description, read_description
from edgevid.errors import BackendError
from edgevid.specs import LOCAL, Artefact, Availability, bundle_name

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
    "`edgevid inspect {folder} --verify`, which compares with PyTorch's output without PyTorch. With\n"
    "`TVM_USE_RUNTIME_LIB=1` in the environment TVM skips its compiler, which saves 100 MB of memory.\n",
)
IN_AN_APP = (
    "The app has the runtime of TVM {tvm} (`libtvm_ffi.so`, `libtvm_runtime.so`) built for Android, and\n"
    "loads it with its symbols visible to libraries loaded later (`RTLD_GLOBAL`).",
    "The bundle runs inside an app.",
)
"""How a device runs a library: the README's sections "Install" and "Run"."""

_host_builds: dict[Path, tempfile.TemporaryDirectory] = {}
"""Host builds of libraries for other processors that this process compiled: the same network for this one."""


def available() -> Availability:
    if importlib.util.find_spec("tvm") is None:
        return Availability(False, "", "TVM is not installed", INSTALL)
    return Availability(True, f"TVM {_version()}")


def compile(graph, job, folder: Path):
    """Write ``model.so`` and ``model.json``; for boards also a README, for those with a GPU
    ``model_cuda.so``.

    For another processor a host build is checked instead: the same network compiled for this one. Raises
    ``BackendError`` if TVM or a linker is missing, ``ExportError`` for an unsupported operator.
    """
    from edgevid.backends.protocol import Compiled
    from edgevid.backends.tvm.build import compile_module, import_graph, layer_error, write_library
    from edgevid.backends.tvm.cuda import architecture_of
    from edgevid.backends.tvm.toolchain import device_for

    _need_tvm()
    if os.environ.get("TVM_USE_RUNTIME_LIB") == "1":
        raise BackendError("TVM_USE_RUNTIME_LIB=1 disables TVM's compiler: unset it to export")
    device = device_for(job.target)
    device.linker()  # fails here if it is missing, before minutes of compiling
    names = tuple(value.name for value in graph.graph.inputs), tuple(v.name for v in graph.graph.outputs)
    copies = graph.clone(), graph.clone()
    module, kernels, passes = import_graph(graph, device.machine)
    try:
        executable = compile_module(module, device)
    except Exception as error:  # TVM's errors have no common base
        raise layer_error(graph, device, error) from error
    write_library(executable, device, folder / MODEL)
    _describe(folder, device, *names)
    not_run = []
    if not device.is_here:
        not_run.append(_compile_host_build(copies[0], folder, job, names))
    if architecture := architecture_of(job.target):
        not_run.append(_write_gpu_library(copies[1], architecture, device, folder))
    if job.target.architecture != "any":
        _write_readme(job, folder, device, not_run)
    artefact = Artefact(MODEL, "fp32", f"TVM {_version()}, {device.architecture} ({device.isa})", NAME)
    return Compiled(MODEL, (artefact,), kernels, passes, tuple(not_run))


def _compile_host_build(graph, folder: Path, job, names: tuple) -> str:
    """Compile ``graph`` for this processor, to be opened instead of the library; the ``not_run`` sentence."""
    from edgevid.backends.tvm.build import compile_module, import_graph, write_library
    from edgevid.backends.tvm.toolchain import here

    host_build = tempfile.TemporaryDirectory()
    module, _, _ = import_graph(graph, here().machine)
    write_library(compile_module(module, here()), here(), Path(host_build.name) / MODEL)
    _describe(Path(host_build.name), here(), *names)
    _host_builds[(folder / MODEL).resolve()] = host_build
    return (
        f"{MODEL} on a device of target {job.target.name} (what was checked is the same network compiled "
        f"for {here().architecture}, where the bundle was made)"
    )


def _write_gpu_library(graph, architecture: str, device, folder: Path) -> str:
    """Write ``model_cuda.so``; the ``not_run`` sentence: the result of nvcc, or why there is no library."""
    from edgevid.backends.tvm import cuda
    from edgevid.backends.tvm.build import last_line, write_library

    try:
        executable = cuda.compile_for_gpu(cuda.import_for_gpu(graph), architecture, device)
    except Exception as error:  # TVM's errors have no common base
        return f"{GPU_MODEL}, left out: TVM cannot compile the network for a GPU ({last_line(error)})"
    write_library(executable, device, folder / GPU_MODEL)
    size = cuda.compile_sources(executable, architecture, device)
    nvcc_result = "no nvcc here supports it" if size is None else f"nvcc compiled it to {size} bytes"
    return f"{GPU_MODEL} on a GPU ({architecture}, TVM's default schedules: {nvcc_result})"


def _write_readme(job, folder: Path, device, not_run: Sequence[str]) -> None:
    install, run = IN_AN_APP if device.architecture.endswith("android") else WITH_PYTHON
    write_readme(
        folder,
        job,
        NAME,
        files("edgevid.backends.tvm") / "templates" / "README.tvm.md",
        tvm=_version(),
        install=install.format(tvm=_version(), ffi=importlib.metadata.version("apache-tvm-ffi")),
        run=run.format(folder=bundle_name(job.model, job.target.name, NAME, bool(job.states))),
        processor=f"{device.architecture} ({device.isa})",
        gpu=GPU_LINE if (folder / GPU_MODEL).is_file() else "",
        not_run="; ".join(not_run) or "nothing",
    )


def _describe(folder: Path, device, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    description = Description(_version(), device.architecture, device.isa, inputs, outputs)
    (folder / DESCRIPTION).write_text(json.dumps(asdict(description), indent=1) + "\n")


def open_model(artefact: Artefact, folder: Path, options: OpenOptions) -> TvmRunner | RemoteRunner:
    """Open a library here, or on a board from a TVM tracker.

    Raises ``BackendError`` if it is for another processor or another TVM, or if TVM is not installed.
    """
    from edgevid.backends.tvm.runner import TvmRunner
    from edgevid.backends.tvm.toolchain import missing_flags, this_architecture
    from edgevid.host.processor import usable_cores

    path = folder / artefact.file
    if options.device != LOCAL:
        from edgevid.backends.tvm.rpc import open_remote

        return open_remote(path, options.device, options.threads)
    _need_tvm()
    if path.resolve() in _host_builds:
        path = Path(_host_builds[path.resolve()].name) / MODEL
    description = read_description(path)
    if description.architecture != this_architecture():
        raise BackendError(
            f"'{path}' is for {description.architecture}, but this machine is {this_architecture()}: run it "
            "on the device, or export again with --target cpu"
        )
    missing = missing_flags(description.isa)
    if missing:
        raise BackendError(
            f"'{path}' needs a processor with {', '.join(missing)}: export it again on this machine"
        )
    return TvmRunner(path, description.inputs, description.outputs, options.threads or usable_cores())


def check_address(device: str) -> None:
    """``BackendError`` unless ``device`` is ``rpc://HOST:PORT/KEY``."""
    from edgevid.backends.tvm.rpc import Address

    Address.parse(device)


def _need_tvm() -> None:
    """``BackendError`` without TVM; otherwise configure its threads before it starts the first."""
    from edgevid.backends.tvm.runner import prepare_threads

    if importlib.util.find_spec("tvm") is None:
        raise BackendError(f"TVM is not installed: {INSTALL}")
    prepare_threads()


def _version() -> str:
    return importlib.metadata.version("apache-tvm")

"""Compile the CUDA kernels: with nvcc, with NVRTC to PTX, or as plain C++ for the emulation on the CPU."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgevid.errors import BackendError
from edgevid.kernels.common.build import find_compiler

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "library.cu"
STANDARD = "-std=c++14"
"""The newest standard that nvcc 10.2 of JetPack 4 supports."""
OLDEST = 53
"""SM of the oldest target, the Jetson Nano, and the first with half-precision arithmetic."""
NVRTC_PACKAGE = "nvidia-cuda-nvrtc-cu12"


def find_nvcc() -> str | None:
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def supported_architectures(nvcc: str) -> tuple[int, ...]:
    """Each SM that both this nvcc and the kernels support, the oldest first."""
    listed = re.findall(r"compute_(\d+)", _run([nvcc, "--list-gpu-arch"]))
    return tuple(sorted(sm for sm in map(int, listed) if sm >= OLDEST))


def fat_binary(nvcc: str, source: Path, output: Path, architectures: Sequence[int]) -> Path:
    """Device code of ``source`` for each architecture, and the PTX for the oldest, its source."""
    oldest = min(architectures)
    codes = ",".join([*(f"sm_{sm}" for sm in architectures), f"compute_{oldest}"])
    _run(
        [
            nvcc,
            *_options(),
            "-fatbin",
            "-gencode",
            f"arch=compute_{oldest},code=[{codes}]",
            source,
            "-o",
            output,
        ]
    )
    return output


def shared_library(nvcc: str, output: Path, architecture: str = "native") -> ctypes.CDLL:
    """Compile ``library.cu`` for this machine's GPU, or for ``architecture``, such as ``sm_87``."""
    _run(
        [nvcc, *_options(), f"-arch={architecture}", "-shared", "-Xcompiler", "-fPIC", LIBRARY, "-o", output]
    )
    return ctypes.CDLL(str(output))


def emulated_library(output: Path) -> ctypes.CDLL:
    """Compile ``library.cu`` as C++ for the CPU; it takes host addresses."""
    compile_emulated([LIBRARY], output)
    return ctypes.CDLL(str(output))


def compile_emulated(sources: Sequence[Path], output: Path, *flags: str) -> None:
    """Compile CUDA ``sources`` as C++ for the emulation, into a shared library."""
    compiler = find_compiler()
    if compiler is None:
        raise BackendError("no C++ compiler was found for the emulated kernels: install g++")
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
    # A library calls its own functions, not those of the same name that the process loaded before.
    emulation = ("-Wl,-Bsymbolic", "-DEDGEVID_EMULATED", "-I", FOLDER / "host", "-x", "c++")
    _run(
        [
            *compiler,
            STANDARD,
            "-O1",
            "-fPIC",
            "-shared",
            *warnings,
            *flags,
            *emulation,
            *sources,
            "-o",
            output,
        ]
    )


def nvrtc_ptx(architecture: int, source: Path = LIBRARY) -> str:
    """Compile ``source`` to PTX with NVRTC 12, whose newest PTX version (8.5) the drivers of JetPack 6 take.

    Raises ``BackendError`` if the package is missing or the source does not compile.
    """
    nvrtc = _nvrtc()
    if nvrtc is None:
        raise BackendError(f"NVRTC is not installed: pip install {NVRTC_PACKAGE}==12.6.85")
    options = [STANDARD, f"--gpu-architecture=compute_{architecture}", f"--include-path={source.parent}"]
    program = ctypes.c_void_p()
    name = str(source).encode()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), name, 0, None, None))
    try:
        array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if nvrtc.nvrtcCompileProgram(program, len(options), array):
            raise BackendError(f"NVRTC rejects {source.name}: {_text(nvrtc, program, 'ProgramLog')}")
        return _text(nvrtc, program, "PTX")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def has_nvrtc() -> bool:
    return _nvrtc() is not None


@functools.cache
def _nvrtc() -> ctypes.CDLL | None:
    try:
        spec = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(folder, "lib").glob("libnvrtc.so.*")):
            library = ctypes.CDLL(str(path))
            library.nvrtcGetErrorString.restype = ctypes.c_char_p
            return library
    return None


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> str:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.value.decode()


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        raise BackendError(f"NVRTC: {nvrtc.nvrtcGetErrorString(status).decode()}")


def _options() -> tuple[str, ...]:
    return STANDARD, "-O3", "-Werror", "all-warnings"


def _run(command: Sequence[str | Path]) -> str:
    """A compiler's output; ``BackendError`` with its messages if it fails."""
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if process.returncode:
        raise BackendError(f"{Path(command[0]).name} failed: {process.stderr or process.stdout}")
    return process.stdout

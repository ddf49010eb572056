"""Compile a kernel for one instruction set into a library of its own, which ctypes opens."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgevid.kernels.build import CXXFLAGS, find_compiler, isa_flags

KERNELS = Path(__file__).parents[2]
FLOORS = "temporal_conv/standalone/floors.cpp"
CPU_FLAGS = {"avx512": {"avx512f", "avx512bw", "avx512vl", "fma"}, "avx2": {"avx2", "fma"}, "generic": set()}
"""What the processor must name among its instruction sets, by ours."""


def why_not(isa: str, instruction_sets: Sequence[str]) -> str | None:
    """The reason why a kernel for ``isa`` cannot be compiled or run here."""
    if isa not in isa_flags():
        return f"{isa} is not for this architecture"
    if missing := sorted(CPU_FLAGS[isa] - set(instruction_sets)):
        return f"this processor has no {', '.join(missing)}"
    if find_compiler() is None:
        return "there is no C++ compiler"
    return None


def sources(op: str) -> list[str]:
    return [f"{op}/cpu.cpp", f"{op}/standalone/entry.cpp"]


def command(files: Sequence[str | Path], isa: str, output: Path, *flags: str) -> list[str]:
    """The compiler's command for ``files``, relative to the kernels' folder, into ``output``."""
    visible = [flag for flag in CXXFLAGS if not flag.startswith("-fvisibility")]
    namespace = f"-DEDGEVID_ISA_NAMESPACE={isa}"
    paths = [str(KERNELS / file) for file in files]
    return [
        *find_compiler(),
        *visible,
        *isa_flags()[isa],
        namespace,
        "-pthread",
        *flags,
        *paths,
        "-o",
        str(output),
    ]


def library(files: Sequence[str | Path], isa: str, folder: Path) -> ctypes.CDLL:
    """Raises ``RuntimeError`` with the compiler's words if it refuses, or warns."""
    output = folder / f"{isa}.so"
    made = subprocess.run(
        command(files, isa, output, "-shared", "-Werror"), capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise RuntimeError(made.stderr)
    return ctypes.CDLL(str(output))

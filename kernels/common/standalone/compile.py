"""Compile a kernel for one instruction set into a separate library, open it with ctypes, and run it."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgevid.kernels.common.build import cached_file, cxxflags, find_compiler, isa_flags

KERNELS = Path(__file__).parents[2]
ENTRY, ROOFLINE = "common/standalone/entry.cpp", "common/standalone/roofline.cpp"
ROOFLINE_INT8 = "common/standalone/roofline_int8.cpp"
CPU_FLAGS = {"avx512": {"avx512f", "avx512bw", "avx512vl", "fma"}, "avx2": {"avx2", "fma"}, "generic": set()}
"""The processor flags that each of edgevid's instruction sets needs."""


def why_not(isa: str, instruction_sets: Sequence[str]) -> str | None:
    """The reason why a kernel for ``isa`` cannot be compiled or run here."""
    if isa not in isa_flags():
        return f"{isa} is not for this architecture"
    if missing_sets := sorted(CPU_FLAGS[isa] - set(instruction_sets)):
        return f"this processor has no {', '.join(missing_sets)}"
    if find_compiler() is None:
        return "no C++ compiler was found"
    return None


def command(files: Sequence[str | Path], isa: str, output: Path, *flags: str) -> list[str]:
    """The command that compiles ``files``, relative to the kernels' folder, to ``output``."""
    compiler = find_compiler()
    if compiler is None:
        raise RuntimeError("no C++ compiler was found: install g++ or clang")
    visible = [flag for flag in cxxflags() if not flag.startswith("-fvisibility")]
    namespace = f"-DEDGEVID_ISA_NAMESPACE={isa}"
    paths = [str(KERNELS / file) for file in files]
    return [
        *compiler,
        *visible,
        *isa_flags()[isa],
        namespace,
        "-pthread",
        *flags,
        *paths,
        "-o",
        str(output),
    ]


def kernel(op: str, isa: str, folder: Path) -> ctypes.CDLL:
    """Open the kernel in the folder ``op``, with the functions of ``entry.cpp``; compile it if needed."""
    structure = "".join(word.capitalize() for word in op.split("_"))
    flags = (f'-DEDGEVID_HEADER="../../{op}/{op}.h"', f"-DEDGEVID_KERNEL={structure}")
    result = library([f"{op}/cpu.cpp", ENTRY], isa, folder / f"{op}-{isa}.so", *flags)
    result.why_not.restype = ctypes.c_char_p
    result.work_items.restype = ctypes.c_int64
    return result


def library(files: Sequence[str | Path], isa: str, output: Path, *flags: str) -> ctypes.CDLL:
    """Open ``output``, compiled from ``files`` if it does not exist.

    Raises ``RuntimeError`` with the compiler's errors or warnings.
    """

    def make(work: Path, target: Path) -> None:
        arguments = command(files, isa, target, "-shared", "-Werror", *flags)
        process = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if process.returncode:
            raise RuntimeError(process.stderr)

    return ctypes.CDLL(str(cached_file(output.parent, output.name, f"compiling {output.name}", make)))


def run(kernel: ctypes.CDLL, conv: ctypes.Structure, cuts: Sequence[float] = ()) -> None:
    """Run all work items in one piece, or cut at the fractions ``cuts``, the last piece first."""
    items = kernel.work_items(ctypes.byref(conv))
    ends = sorted({0, items, *(round(cut * items) for cut in cuts)})
    for begin, end in reversed(list(itertools.pairwise(ends))):
        kernel.run(ctypes.byref(conv), ctypes.c_int64(begin), ctypes.c_int64(end))

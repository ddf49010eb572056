"""The processors that libraries are compiled for, and their linkers."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.errors import BackendError, ExportError
from edgevid.host import processor

if TYPE_CHECKING:
    from edgevid.kernels.common.tvm.machine import Machine
    from edgevid.specs import Target

LEVELS = {
    "avx512": ("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
    "avx2": ("x86-64-v3", ("avx2", "fma", "bmi2", "f16c")),
    "sse": ("x86-64", ()),
}
"""Vector instruction sets of x86-64, best first: LLVM's name of the level, and the flags that it needs."""


@dataclass(frozen=True)
class Device:
    """A processor to compile for. ``isa`` names its vector instructions, ``target`` is TVM's target.

    ``compilers`` are C++ compilers that can link for it, in order of preference; ``package`` is the Debian
    package of one. ``system_libraries`` names a library's dependencies if they are not the compiler's own.
    """

    architecture: str
    isa: str
    target: dict
    compilers: tuple[str, ...]
    package: str
    system_libraries: tuple[str, ...] = ()

    @property
    def machine(self) -> Machine:
        from edgevid.kernels.common.tvm.machine import MACHINES

        return MACHINES[self.isa]

    @property
    def is_here(self) -> bool:
        """Whether a library for it can be opened on this machine."""
        return self.architecture == this_architecture()

    def linker(self) -> Callable[[str, Sequence[str], Sequence[str]], None]:
        """TVM's callback that links object files to a library; ``BackendError`` without a compiler."""
        from tvm.support import cc

        compiler = next((path for path in map(shutil.which, self.compilers) if path), None)
        if compiler is None:
            raise BackendError(
                f"TVM links libraries for {self.architecture} with {' or '.join(self.compilers)}, but none "
                f"is installed: apt install {self.package}"
            )
        if self.system_libraries:
            return partial(_link_with_stubs, compiler, self.system_libraries)
        return cc.cross_compiler(compiler, options=["-s"])


def here() -> Device:
    """The processor of this machine."""
    if this_architecture() == "aarch64":
        return ARM64_LINUX
    isa = next(name for name, (_, flags) in LEVELS.items() if set(flags) <= processor_flags())
    return _x86(isa)


def device_for(target: Target) -> Device:
    """The processor of a target; ``ExportError`` if TVM has no settings for it."""
    if target.device.os == "android":
        return ARM64_ANDROID
    if target.architecture in ("any", this_architecture()):
        return here()
    if target.architecture == "x86_64":
        return _x86("avx2")
    if target.architecture == "aarch64":
        return ARM64_LINUX
    raise ExportError(
        f"TVM has no settings for {target.architecture}, the processor of target {target.name}: "
        "use --backend onnxruntime"
    )


def this_architecture() -> str:
    """The architecture of this machine, with ``-android`` on Android."""
    return processor.architecture() + ("-android" if hasattr(sys, "getandroidapilevel") else "")


def missing_flags(isa: str) -> list[str]:
    """The instruction sets that a library for ``isa`` needs and this processor lacks."""
    return sorted(set(LEVELS.get(isa, ("", ()))[1]) - processor_flags())


def processor_flags() -> frozenset[str]:
    """The instruction sets of this x86-64 processor, by Linux's names; empty if unknown."""
    return processor.processor_flags() or frozenset(_flags_of_macos())


def _flags_of_macos() -> list[str]:
    if platform.system() != "Darwin":
        return []
    query = ["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return result.stdout.lower().split()


def _link_with_stubs(
    compiler: str,
    names: Sequence[str],
    output: str,
    objects: Sequence[str],
    options: Sequence[str] | None = None,
) -> None:
    """Link with empty stub libraries of ``names``, so that the device's are loaded."""
    from tvm.support import cc

    with tempfile.TemporaryDirectory() as work:
        empty = Path(work) / "empty.s"
        empty.touch()
        stubs = [str(Path(work) / name) for name in names]
        for name, path in zip(names, stubs):
            cc.create_shared(path, [str(empty)], ["-nostdlib", f"-Wl,-soname,{name}"], cc=compiler)
        cc.create_shared(output, objects, [*PAGES, *NO_GLIBC, *stubs, *(options or ())], cc=compiler)


def _x86(isa: str) -> Device:
    level, _ = LEVELS[isa]
    target = {"kind": "llvm", "mcpu": level}
    if isa == "avx512":
        # That level splits 512-bit vectors by default, but the tiles need whole ones.
        target["mattr"] = ["-prefer-256-bit"]
    if this_architecture() != "x86_64":
        target["mtriple"] = "x86_64-linux-gnu"
        return Device("x86_64", isa, target, ("x86_64-linux-gnu-g++",), "g++-x86-64-linux-gnu")
    return Device("x86_64", isa, target, ("g++", "clang++", "c++"), "g++")


PAGES = ("-s", "-Wl,-z,max-page-size=16384")
"""Some Android 15 devices have 16 KiB pages."""

NO_GLIBC = ("-nostdlib", "-Wl,--no-as-needed")

ARM64_ANDROID = Device(
    "aarch64-android",
    "neon",
    {"kind": "llvm", "mtriple": "aarch64-linux-android24", "mattr": ["+neon"]},
    ("aarch64-linux-gnu-g++",),
    "g++-aarch64-linux-gnu",
    ("libc.so", "libm.so"),
)

ARM64_LINUX = Device(
    "aarch64",
    "neon",
    {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"]},
    ("g++", "clang++", "c++") if this_architecture() == "aarch64" else ("aarch64-linux-gnu-g++",),
    "g++" if this_architecture() == "aarch64" else "g++-aarch64-linux-gnu",
)

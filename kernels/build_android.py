"""Build the kernels for Android phones (arm64) with the Linux cross-compiler that Debian and Ubuntu have.

The library brings gcc's C++ runtime along and needs of the system only functions that Android's C library
bionic has. That is checked by linking: the linker is given stand-ins for bionic's libraries that hold the
names below and nothing else. Nothing here needs Android's NDK, whose compiler the script in a bundle uses.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgevid.host.digest import sha256_of
from edgevid.kernels import build

LIBRARY = "libedgevid_kernels.so"
COMPILER, PACKAGE = "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"

BIONIC = {
    "libc.so": (
        "__cxa_atexit", "__cxa_finalize", "abort", "calloc", "fputc", "fputs", "free", "fwrite", "getauxval",
        "getenv", "malloc", "memcmp", "memcpy", "memmove", "memset", "posix_memalign", "pthread_getspecific",
        "pthread_key_create", "pthread_mutex_lock", "pthread_mutex_unlock", "pthread_once",
        "pthread_setspecific", "realloc", "sprintf", "stderr", "strchr", "strcmp", "strlen", "strncmp",
        "syscall",
    ),
    "libdl.so": ("dl_iterate_phdr",),
}  # fmt: skip
"""What the library may refer to on Android 7 (API level 24) and later, by the library that has it.

Source: libc/libc.map.txt and libdl/libdl.map.txt of Android's bionic (commit 731631f, 2025-03-26). Each name
stands in the first section there (LIBC, LIBDL) without an ``introduced`` above 24: ``stderr`` says 23.
"""

# Ubuntu's compiler adds checks by default that call functions of glibc alone.
FLAGS = (
    *build.CXXFLAGS,
    "-ffunction-sections",
    "-fdata-sections",
    "-U_FORTIFY_SOURCE",
    "-fno-stack-protector",
)
# Android 15 has devices whose pages are 16 KiB. A session's options close the libraries that they opened, but
# the ops live as long as the process: `nodelete`.
LINK_FLAGS = (
    "-shared", "-nostdlib", "-s", f"-Wl,-soname,{LIBRARY}", "-Wl,--gc-sections", "-Wl,--hash-style=both",
    "-Wl,-z,defs", "-Wl,-z,nodelete", "-Wl,-z,max-page-size=16384",
)  # fmt: skip
EXPORTS = "{ global: RegisterCustomOps; edgevid_isa; local: *; };\n"
RUNTIME = build.SOURCES / "android" / "runtime.cpp"
START, ARCHIVES, END = "crtbeginS.o", ("libstdc++.a", "libgcc_eh.a", "libgcc.a"), "crtendS.o"


class CannotBuild(Exception):
    """In a phrase: why there is no library, and what to do."""


def android_library() -> Path:
    """The library, from the user's cache folder, where it is made at the first call (seconds)."""
    if shutil.which(COMPILER) is None:
        raise CannotBuild(f"{COMPILER} is not installed (Debian: apt install {PACKAGE})")
    try:
        identity = build.fingerprint(
            (COMPILER,), (*FLAGS, *LINK_FLAGS, sha256_of(RUNTIME), repr(BIONIC), EXPORTS)
        )
        return build.kept(
            build.cache_folder() / "kernels",
            f"edgevid-android-{identity}.so",
            "compiling the kernels for Android: once, some seconds",
            _make,
        )
    except subprocess.CalledProcessError as error:
        said = next(
            (line for line in error.stderr.splitlines() if "undefined" in line or "error" in line),
            error.stderr[:200].strip(),
        )
        raise CannotBuild(f"{COMPILER} cannot build it: {said}") from error


def _make(work: Path, target: Path) -> None:
    command = [COMPILER, *FLAGS]
    objects = build.compile_sources(command, work, {"generic": ()})
    runtime = work / "runtime.o"
    build.run([*command, "-c", str(RUNTIME), "-o", str(runtime)])
    exports = work / "exports.map"
    exports.write_text(EXPORTS)
    stand_ins = [_stand_in(work, name, symbols) for name, symbols in BIONIC.items()]
    parts = [_of_compiler(START), *map(str, [*objects, runtime]), *map(_of_compiler, ARCHIVES), *stand_ins]
    script = f"-Wl,--version-script={exports}"
    build.run([COMPILER, *LINK_FLAGS, script, *parts, _of_compiler(END), "-o", str(target)])


def _of_compiler(name: str) -> str:
    """The path of a file of the compiler's own."""
    command = [COMPILER, f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _stand_in(work: Path, name: str, symbols: Sequence[str]) -> str:
    """A library of that name that has the symbols, and nothing behind them."""
    source = work / f"{name}.s"
    source.write_text("".join(f".globl {symbol}\n{symbol}: .quad 0\n" for symbol in symbols))
    path = work / name
    build.run([COMPILER, "-shared", "-nostdlib", f"-Wl,-soname,{name}", str(source), "-o", str(path)])
    return str(path)

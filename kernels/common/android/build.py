"""Build the kernels for Android phones (arm64) with the Linux cross-compiler of Debian and Ubuntu.

The library includes gcc's C++ runtime and depends only on functions of Android's C library, bionic. The
linker checks that: it links against stub libraries of bionic with only the names below. Android's NDK, whose
compiler the script in a bundle uses, is not needed here.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgevid.host.digest import sha256_of
from edgevid.kernels.common import build

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
"""The symbols that the library may import on Android 7 (API level 24) and later, by library.

Source: libc/libc.map.txt and libdl/libdl.map.txt of Android's bionic (commit 731631f, 2025-03-26). Each name
is in the first section there (LIBC, LIBDL) without an ``introduced`` above 24: ``stderr`` has 23.
"""

# By default Ubuntu's compiler adds checks that call functions only glibc has.
FLAGS = (
    *build.CXXFLAGS,
    "-ffunction-sections",
    "-fdata-sections",
    "-DEDGEVID_BIONIC",
    "-U_FORTIFY_SOURCE",
    "-fno-stack-protector",
)
# Some Android 15 devices have 16 KiB pages. A session's options close the libraries that they opened, but the
# ops live as long as the process: `nodelete`.
LINK_FLAGS = (
    "-shared", "-nostdlib", "-s", f"-Wl,-soname,{LIBRARY}", "-Wl,--gc-sections", "-Wl,--hash-style=both",
    "-Wl,-z,defs", "-Wl,-z,nodelete", "-Wl,-z,max-page-size=16384",
)  # fmt: skip
EXPORTS = "{ global: RegisterCustomOps; edgevid_isa; local: *; };\n"
RUNTIME = Path(__file__).with_name("runtime.cpp")
START, ARCHIVES, END = "crtbeginS.o", ("libstdc++.a", "libgcc_eh.a", "libgcc.a"), "crtendS.o"


class AndroidBuildError(Exception):
    """The library cannot be built; the message has the reason and a remedy."""


def android_library() -> Path:
    """The library in the user's cache folder, built at the first call (seconds)."""
    if shutil.which(COMPILER) is None:
        raise AndroidBuildError(f"{COMPILER} is not installed (Debian: apt install {PACKAGE})")
    try:
        identity = build.fingerprint(
            (COMPILER,), (*FLAGS, *LINK_FLAGS, sha256_of(RUNTIME), repr(BIONIC), EXPORTS)
        )
        return build.cached_file(
            build.library_folder(),
            f"edgevid-android-{identity}.so",
            "compiling the kernels for Android, which takes seconds, once",
            _make,
        )
    except subprocess.CalledProcessError as error:
        message = next(
            (line for line in error.stderr.splitlines() if "undefined" in line or "error" in line),
            error.stderr[:200].strip(),
        )
        raise AndroidBuildError(f"{COMPILER} cannot build it: {message}") from error


def _make(work: Path, target: Path) -> None:
    command = [COMPILER, *FLAGS]
    objects = build.compile_sources(command, work, {"generic": ()})
    runtime = work / "runtime.o"
    build.run([*command, "-c", str(RUNTIME), "-o", str(runtime)])
    exports = work / "exports.map"
    exports.write_text(EXPORTS)
    stubs = [_stub_library(work, name, symbols) for name, symbols in BIONIC.items()]
    parts = [_of_compiler(START), *map(str, [*objects, runtime]), *map(_of_compiler, ARCHIVES), *stubs]
    script = f"-Wl,--version-script={exports}"
    build.run([COMPILER, *LINK_FLAGS, script, *parts, _of_compiler(END), "-o", str(target)])


def _of_compiler(name: str) -> str:
    """The path of one of the compiler's own files."""
    command = [COMPILER, f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _stub_library(work: Path, name: str, symbols: Sequence[str]) -> str:
    """Build a library of that name that defines the symbols, without code."""
    source = work / f"{name}.s"
    source.write_text("".join(f".globl {symbol}\n{symbol}: .quad 0\n" for symbol in symbols))
    path = work / name
    build.run([COMPILER, "-shared", "-nostdlib", f"-Wl,-soname,{name}", str(source), "-o", str(path)])
    return str(path)

"""The library of the kernels: from the wheel, or built with this machine's compiler, once.

What is built is cached in the user's cache folder. Its name is a hash of the sources, the compiler and the
flags, so it is never stale. A folder with an ``op.cpp`` is an op: its ``cpu*.cpp`` are compiled for every
instruction set, the rest once.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgevid.host.cache import cache_folder, temporary_folder
from edgevid.host.files import atomic_path
from edgevid.host.processor import architecture

SOURCES = Path(__file__).parents[1]
INSTALLED = Path(__file__).parent / "lib"
"""Where a wheel for one platform has the library."""

CXXFLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
LINK_FLAGS = ("-shared",)
X86_FLAGS = {
    "avx512": ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "generic": (),
}
COMPILERS = ("g++", "clang++", "c++")
log = logging.getLogger("edgevid")


def isa_flags(machine: str | None = None) -> dict[str, tuple[str, ...]]:
    """The instruction sets of a library for ``machine`` (None: this one), with their compiler flags."""
    return X86_FLAGS if architecture(machine) == "x86_64" else {"generic": ()}


def cxxflags() -> tuple[str, ...]:
    """The flags of every source: edgevid's, then those of ``$EDGEVID_CXXFLAGS``, such as a sanitizer's."""
    return (*CXXFLAGS, *shlex.split(os.environ.get("EDGEVID_CXXFLAGS", "")))


def library() -> Path | None:
    """The library; None if it cannot be built, for a reason that is logged once."""
    result = library_or_reason()
    return result if isinstance(result, Path) else None


def library_or_reason() -> Path | str:
    """The library, or the reason why it cannot be built, with a remedy; the reason is logged once."""
    if installed := installed_library():
        return installed
    compiler = find_compiler()
    if compiler is None:
        reason = "no C++ compiler was found, so networks run without the kernels: install g++ or set CXX"
    else:
        try:
            return build(compiler, library_folder())
        except subprocess.CalledProcessError as error:
            message = next(
                (line for line in error.stderr.splitlines() if "error" in line), error.stderr[:200]
            )
            reason = f"{shlex.join(compiler)} cannot build the kernels, so networks run without: {message}"
        except OSError as error:
            reason = f"the kernels cannot be built, so networks run without: {error}. Set EDGEVID_CACHE"
    _warn_once(reason)
    return reason


def library_folder() -> Path:
    """Where built libraries are cached."""
    return cache_folder() / "kernels"


def installed_library() -> Path | None:
    """The library that was installed with edgevid; None if there is none, or for ``$EDGEVID_CXXFLAGS``."""
    return None if os.environ.get("EDGEVID_CXXFLAGS") else next(INSTALLED.glob("edgevid-*.so"), None)


def origin() -> str:
    """Where the kernels of this machine come from, in words; builds nothing."""
    if installed_library():
        return "kernels installed with edgevid"
    compiler = find_compiler()
    return f"kernels compiled by {compiler[0]} at first use" if compiler else "no kernels: install g++"


def find_compiler() -> list[str] | None:
    if variable := os.environ.get("CXX"):
        command = shlex.split(variable)
        return command if command and shutil.which(command[0]) else None
    compiler = next((name for name in COMPILERS if shutil.which(name)), None)
    return [compiler] if compiler else None


def build(compiler: list[str], folder: Path) -> Path:
    """The library in ``folder``, or in a temporary folder if that is not writable."""

    def make(work: Path, target: Path) -> None:
        objects = compile_sources([*compiler, *cxxflags()], work, isa_flags(target_machine(tuple(compiler))))
        run([*compiler, *cxxflags(), *LINK_FLAGS, *map(str, objects), "-o", str(target)])

    announcement = "compiling the kernels for this processor, which takes seconds, once"
    return cached_file(folder, library_name(compiler), announcement, make)


def library_name(compiler: list[str]) -> str:
    return f"edgevid-{fingerprint(tuple(compiler), cxxflags())}.so"


@functools.cache
def target_machine(compiler: tuple[str, ...]) -> str:
    """The architecture that ``compiler`` compiles for, which of a cross compiler is not this machine's."""
    result = subprocess.run([*compiler, "-dumpmachine"], capture_output=True, text=True)
    return architecture(result.stdout.partition("-")[0].strip() or None)


def cached_file(folder: Path, name: str, announcement: str, make: Callable[[Path, Path], None]) -> Path:
    """The file ``name`` in ``folder``, or in a temporary folder if that is not writable.

    If it does not exist, ``make`` is called with a work folder and the path to write.
    """
    if (folder / name).is_file():
        return folder / name
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        folder = temporary_folder()
    with _exclusive_access(folder):
        if (folder / name).is_file():  # another process has made it meanwhile
            return folder / name
        with atomic_path(folder / name) as target:  # other processes never open a partial library
            log.warning(announcement)
            make(target.parent, target)
    return folder / name


@contextlib.contextmanager
def _exclusive_access(folder: Path) -> Iterator[None]:
    """Lock ``folder`` against other processes, where the system supports it."""
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@functools.cache
def fingerprint(compiler: tuple[str, ...], flags: tuple[str, ...]) -> str:
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    target = isa_flags(target_machine(compiler))
    digest = hashlib.sha256(repr((compiler, version, flags, LINK_FLAGS, target)).encode())
    for path in sources("*.cpp", "*.h"):
        digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def sources(*patterns: str) -> list[Path]:
    """The sources of the library: those in ``common/ort/`` and of each op."""
    folders = [SOURCES / "common" / "ort", *sorted(path.parent for path in SOURCES.glob("*/op.cpp"))]
    return [path for folder in folders for path in sorted(p for name in patterns for p in folder.glob(name))]


def compile_sources(command: Sequence[str], work: Path, isas: Mapping[str, Sequence[str]]) -> list[Path]:
    """Compile the library's objects into ``work``; ``isas`` maps its instruction sets to their flags."""
    jobs = {}
    # The longest first, so that no core waits for the last one.
    for source in sorted(sources("*.cpp"), key=lambda path: not path.name.startswith("cpu")):
        variants = isas if source.name.startswith("cpu") else {"once": ()}
        for isa, flags in variants.items():
            object_path = work / f"{source.parent.name}-{source.stem}-{isa}.o"
            options = [*flags, f"-DEDGEVID_ISA_NAMESPACE={isa}", "-c", str(source), "-o", str(object_path)]
            jobs[object_path] = [*command, *options]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, jobs.values()))
    return list(jobs)


def run(command: Sequence[str]) -> None:
    """Raises ``subprocess.CalledProcessError`` with the compiler's output."""
    subprocess.run(command, capture_output=True, text=True, check=True)


@functools.cache
def _warn_once(message: str) -> None:
    log.warning(message)

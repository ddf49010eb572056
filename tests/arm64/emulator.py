"""Make an emulated arm64 computer: ``python tests/arm64/emulator.py FOLDER``, then ``FOLDER/usr/bin/python``.

FOLDER becomes a small Debian for arm64: CPython from the distribution, ONNX Runtime and the tests' packages
from their arm64 wheels, and this checkout, editable. No root rights are needed: apt works on lists of its own
below FOLDER, and qemu looks for each path in FOLDER first. A program of this computer that the emulated
Python starts runs natively, so that ``CXX=aarch64-linux-gnu-g++`` is there what g++ is on a device, and this
computer's Python can export what the emulated one runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
TOOLS = {"apt-get": "apt", "dpkg-deb": "dpkg", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"}
"""Programs, by the Debian package that has them."""

DEBIAN_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
PYTHON_PACKAGES = ("onnx", "hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
GLIBC_MINORS = range(17, 37)  # Debian 12 has glibc 2.36; wheels name the oldest that they run on
MARKER = ".edgevid-arm64"
# Without a file of its own the emulated computer shows this one's processor, over which ONNX Runtime's
# detection (the library cpuinfo) breaks. A Cortex-A72, as in a Raspberry Pi 4.
PROCESSOR = """processor\t: {index}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


class CannotMake(Exception):
    """One line: why there can be no emulated computer here, and what to do."""


def missing() -> list[str]:
    """The Debian packages to install before a computer can be made."""
    packages = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    return packages if emulator() else [*packages, "qemu-user-static"]


def emulator() -> str | None:
    return next(filter(None, map(shutil.which, EMULATORS)), None)


def make(folder: Path) -> Path:
    """The Python of the computer in ``folder``, which is made, or made anew if this file's recipe changed."""
    folder = folder.resolve()
    if packages := missing():
        raise CannotMake(f"install {' and '.join(packages)}: apt-get install {' '.join(packages)}")
    marker, python, recipe = folder / MARKER, folder / "usr/bin/python", _recipe(folder)
    if marker.is_file() and marker.read_text() == recipe:
        return python
    if folder.exists() and any(folder.iterdir()) and not marker.is_file():
        raise CannotMake(f"{folder} holds something else: choose an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()
    _install_debian(folder)
    _write_processor(folder)
    interpreter = next(path for path in (folder / "usr/bin").glob("python3.*") if path.name[8:].isdigit())
    # With -0 Python takes this script for its own executable, and so can start itself.
    python.write_text(f'#!/bin/sh\nexec {emulator()} -0 "{python}" -L "{folder}" "{interpreter}" "$@"\n')
    python.chmod(0o755)
    _install_packages(folder, interpreter.name.removeprefix("python"))
    marker.write_text(recipe)
    return python


def _recipe(folder: Path) -> str:
    files = (Path(__file__), ROOT / "pyproject.toml")
    contents = b"".join(file.read_bytes() for file in files)
    return f"{folder}\n{ROOT}\n{hashlib.sha256(contents).hexdigest()}\n"


def _install_debian(folder: Path) -> None:
    work = folder / "apt"
    for name in ("lists/partial", "state", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()  # nothing is installed: apt then resolves every dependency
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Dir::State": work / "state",
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": work / "status",
        "Dir::Cache": work / "cache",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    # A source without arm64 is an error of `update` but not of ours: `install` says what cannot be had.
    subprocess.run([*apt, "update"], capture_output=True, check=False)
    _run([*apt, "install", "--yes", "--download-only", *DEBIAN_PACKAGES], "apt-get has no Python for arm64")
    for package in sorted((work / "cache/archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", package, folder], f"{package.name} cannot be unpacked")
    shutil.rmtree(work)
    if not (folder / "lib").exists():  # since Debian 13 a package of its own makes this link
        (folder / "lib").symlink_to("usr/lib")


def _write_processor(folder: Path) -> None:
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/cpuinfo").write_text("".join(PROCESSOR.format(index=index) for index in range(2)))


def _install_packages(folder: Path, version: str) -> None:
    site = folder / f"usr/local/lib/python{version}/dist-packages"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["tvm"]]
    tags = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in GLIBC_MINORS)]
    platform = [word for tag in tags for word in ("--platform", tag)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", site]
    wheels = ["--only-binary=:all:", "--implementation", "cp", "--python-version", version, *platform]
    _run([*pip, *wheels, *required, *PYTHON_PACKAGES], "pip has no wheels for arm64")
    _run([*pip, "--no-deps", "--editable", ROOT], "pip cannot install edgevid")


def _run(command: Sequence[str | os.PathLike], failure: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if re.match(r"E:|ERROR|dpkg", line)]
        raise CannotMake(f"{failure}: {lines[0] if lines else result.stderr[-300:].strip()}")


if __name__ == "__main__":
    try:
        print(make(Path(sys.argv[1])))
    except CannotMake as problem:
        sys.exit(f"no emulated arm64 computer: {problem}")

"""What stands for Android on an arm64 Linux."""

from __future__ import annotations

import ctypes
import subprocess

import pytest

NAMES = ("libc.so", "libm.so", "libdl.so")


@pytest.fixture(scope="session")
def bionic(tmp_path_factory):
    """Libraries with the names of bionic's, each of them glibc; what is loaded later finds them by name."""
    from edgevid.kernels.common.build import find_compiler

    folder = tmp_path_factory.mktemp("bionic")
    (folder / "empty.c").touch()
    for name in NAMES:
        options = ["-shared", f"-Wl,-soname,{name}", "-Wl,--no-as-needed", folder / "empty.c", "-lc", "-lm"]
        subprocess.run([*find_compiler(), *options, "-o", folder / name], check=True)
        ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)


@pytest.fixture(scope="session")
def mobile_bundle(exported):
    """The whole network, whose kernels are what is tested here."""
    return exported("tsm_mbv2", target="mobile")


@pytest.fixture(scope="session")
def mobile_stream_bundle(exported):
    return exported("tsm_mbv2_online", target="mobile", stream=True)

"""Run pytest with the kernels under AddressSanitizer and UndefinedBehaviorSanitizer, which must report
nothing.

``python tests/kernels/sanitized.py [PYTEST OPTIONS] FILES``. Python itself is not built with the sanitizers,
so their libraries are loaded before it.
"""

from __future__ import annotations

import os
import subprocess
import sys

from edgevid.kernels.common.build import find_compiler

LIBRARIES = ("libasan.so", "libubsan.so")
# With -O3 the instrumented kernels take minutes to compile.
CXXFLAGS = "-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all"


class SanitizerError(Exception):
    """The sanitizers are not available, for the reason in the message."""


def environment() -> dict[str, str]:
    """The environment variables to build the kernels with the sanitizers and to load them in Python."""
    compiler = find_compiler()
    if compiler is None:
        raise SanitizerError("no C++ compiler was found: install g++ or set CXX")
    paths = []
    for library in LIBRARIES:
        command = [*compiler, f"-print-file-name={library}"]
        path = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if not os.path.isabs(path):
            raise SanitizerError(f"{compiler[0]} has no {library}: use g++ with its sanitizer libraries")
        paths.append(path)
    return {
        "EDGEVID_CXXFLAGS": CXXFLAGS,
        "LD_PRELOAD": " ".join(paths),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little of its memory at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # PyTorch only exports the networks under test, and is faster without sanitizers.
        "EDGEVID_TEST_EXPORTER": f"env -u LD_PRELOAD {sys.executable}",
    }


if __name__ == "__main__":
    try:
        variables = environment()
    except SanitizerError as error:
        sys.exit(f"no sanitizers: {error}")
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]], {**os.environ, **variables})

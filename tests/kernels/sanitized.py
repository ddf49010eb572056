"""Run pytest with the kernels under AddressSanitizer and UndefinedBehaviorSanitizer, which must find nothing.

``python tests/kernels/sanitized.py [PYTEST OPTIONS] FILES``. Python itself is not built with the sanitizers,
so their libraries are loaded before it.
"""

from __future__ import annotations

import os
import subprocess
import sys

from edgevid.kernels.build import find_compiler

LIBRARIES = ("libasan.so", "libubsan.so")
# With -O3 the instrumented kernels take minutes to compile.
CXXFLAGS = "-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all"


class CannotSanitize(Exception):
    """One line: what is missing."""


def environment() -> dict[str, str]:
    """The variables under which the kernels are built with the sanitizers, and Python can load them."""
    compiler = find_compiler()
    if compiler is None:
        raise CannotSanitize("there is no C++ compiler: install g++ or set CXX")
    found = []
    for library in LIBRARIES:
        command = [*compiler, f"-print-file-name={library}"]
        path = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if not os.path.isabs(path):
            raise CannotSanitize(f"{compiler[0]} has no {library}: use g++ with its sanitizer libraries")
        found.append(path)
    return {
        "EDGEVID_CXXFLAGS": CXXFLAGS,
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees little of its memory at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # PyTorch, which only exports what is tested, is faster without.
        "EDGEVID_TEST_EXPORTER": f"env -u LD_PRELOAD {sys.executable}",
    }


if __name__ == "__main__":
    try:
        added = environment()
    except CannotSanitize as problem:
        sys.exit(f"no sanitizers: {problem}")
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]], {**os.environ, **added})

"""The program whose instructions callgrind counts: one inference of a bundle, after others.

Its source is run as ``python -c SOURCE BUNDLE``: it takes edgevid from wherever Python's path leads, so that
other versions of edgevid can be counted with the same program.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import mmap
import platform
import sys

WARM_UP = 3
RUNNING_ON_VALGRIND = 0x1001
CALLGRIND = ord("C") << 24 | ord("T") << 16
TOGGLE_COLLECT, START_INSTRUMENTATION, STOP_INSTRUMENTATION = CALLGRIND + 2, CALLGRIND + 4, CALLGRIND + 5

REQUEST = {
    # mov rax, rdi; mov rdx, rsi; rol rdi by 3, 13, 61 and 51 bits; xchg rbx, rbx; mov rax, rdx; ret
    "x86_64": "4889f8 4889f2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3",
    # mov x4, x0; mov x3, x1; ror x12 by 3, 13, 51 and 61 bits; orr x10, x10, x10; mov x0, x3; ret
    "aarch64": "e40300aa e30301aa 8c0dcc93 8c35cc93 8ccdcc93 8cf5cc93 4a010aaa e00303aa c0035fd6",
}
"""A function (arguments, default) with valgrind's client request: instructions that change nothing, at whose
place valgrind does what ``arguments``, the request's number and five words, ask for. Source: valgrind.h."""


class Valgrind:
    """Makes requests of the valgrind that runs this process, if one does."""

    def __init__(self) -> None:
        protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
        self._memory.write(bytes.fromhex(REQUEST[platform.machine()]))
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._function = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)(address)

    def request(self, number: int) -> int:
        """The answer; 0 where valgrind does not run."""
        return self._function(_arguments(number), 0)


@functools.cache  # so that what is counted does not make it
def _arguments(number: int) -> ctypes.Array[ctypes.c_size_t]:
    return (ctypes.c_size_t * 6)(number)


def main(bundle: str) -> None:
    import edgevid
    from edgevid.errors import EdgevidError

    valgrind = Valgrind()
    if not valgrind.request(RUNNING_ON_VALGRIND):
        sys.exit("edgevid: this program counts nothing unless valgrind runs it")
    try:
        step = edgevid.open(bundle, threads=1).prepare()
    except EdgevidError as error:
        sys.exit(f"edgevid: {error}")
    for _ in range(WARM_UP):
        step()
    gc.collect()
    gc.disable()
    valgrind.request(START_INSTRUMENTATION)
    valgrind.request(TOGGLE_COLLECT)
    step()
    valgrind.request(TOGGLE_COLLECT)
    valgrind.request(STOP_INSTRUMENTATION)


if __name__ == "__main__":
    main(sys.argv[1])

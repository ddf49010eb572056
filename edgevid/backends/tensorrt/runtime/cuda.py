"""The few functions of the CUDA runtime that a TensorRT session needs, through ctypes.

JetPack and every TensorRT include ``libcudart``; Python packages around it support some CUDA versions only
and would be one more dependency to match on a board. The functions called here have the same signature from
CUDA 11.4 to 13.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import glob
import importlib.util
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgevid.errors import BackendError

LIBRARIES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
FOLDERS = ("/usr/local/cuda*/lib64", "/usr/local/cuda*/lib", "/usr/local/cuda*/targets/*/lib")
TO_DEVICE, TO_HOST = 1, 2
"""``cudaMemcpyKind``."""

RELAXED_CAPTURE = 2
"""``cudaStreamCaptureModeRelaxed``: TensorRT may allocate while a graph is captured."""

NON_BLOCKING = 1
"""``cudaStreamNonBlocking``: the stream does not wait for the default one."""

PROPERTIES_BYTES = 1 << 14
"""More than ``cudaDeviceProp`` has in any version: about 700 bytes in CUDA 11, 1032 in 12."""

MAJOR, MINOR = 75, 76
"""``cudaDevAttrComputeCapabilityMajor`` and ``Minor``."""


def free_with(owner: Any, free: Callable[..., None], *arguments: Any) -> None:
    """Call ``free`` when ``owner`` is collected; not when the process exits, which frees everything."""
    weakref.finalize(owner, free, *arguments).atexit = False


@functools.cache
def load() -> Cuda:
    """The CUDA runtime of this machine; ``BackendError`` if there is none, or no GPU."""
    for name in (*LIBRARIES, *find_libraries()):
        with contextlib.suppress(OSError):
            return Cuda(ctypes.CDLL(name))
    raise BackendError(
        "the CUDA runtime (libcudart) was not found: install it (JetPack includes it), or set LD_LIBRARY_PATH"
    )


def find_libraries() -> list[str]:
    """Paths of libcudart outside the loader's search path: CUDA's folders and NVIDIA's Python packages."""
    packages = importlib.util.find_spec("nvidia")
    folders = [f"{path}/*/lib" for path in (packages.submodule_search_locations if packages else ())]
    return [name for folder in (*FOLDERS, *folders) for name in sorted(glob.glob(f"{folder}/libcudart.so*"))]


class Cuda:
    """The functions of ``library``, with ``BackendError`` for errors; addresses are integers, sizes bytes."""

    def __init__(self, library: Any) -> None:
        self._library = library
        with contextlib.suppress(AttributeError):  # the tests' fake library has no restype
            library.cudaGetErrorString.restype = ctypes.c_char_p
        count = ctypes.c_int()
        self._call("cudaGetDeviceCount", ctypes.byref(count))
        if count.value < 1:
            raise BackendError("CUDA finds no GPU: is this the board, and is the driver loaded (nvidia-smi)?")

    def name(self) -> str:
        """The driver's name of the first GPU, such as "Orin"."""
        properties = ctypes.create_string_buffer(PROPERTIES_BYTES)  # begins with the name in every version
        self._call("cudaGetDeviceProperties", properties, ctypes.c_int(0))
        return properties.value.decode(errors="replace")

    def compute_capability(self) -> str:
        """The compute capability of the first GPU, such as "8.7"."""
        numbers = []
        for attribute in (MAJOR, MINOR):
            value = ctypes.c_int()
            self._call(
                "cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0)
            )
            numbers.append(value.value)
        return "{}.{}".format(*numbers)

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes on the device."""
        return self._new("cudaMalloc", ctypes.c_size_t(size))

    def free(self, address: int) -> None:
        self._call("cudaFree", ctypes.c_void_p(address))

    def pinned(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """Zeros in pinned host memory, which the GPU can copy asynchronously. Free it with ``unpin``."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        pointer = self._new("cudaHostAlloc", ctypes.c_size_t(size), ctypes.c_uint(0))
        memory = (ctypes.c_uint8 * size).from_address(pointer)
        array = np.frombuffer(memory, dtype).reshape(shape)
        array[...] = 0
        return array

    def unpin(self, array: np.ndarray) -> None:
        self._call("cudaFreeHost", ctypes.c_void_p(array.ctypes.data))

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        """Enqueue a copy of a contiguous array to the device on ``stream``."""
        self._copy(address, array.ctypes.data, array.nbytes, TO_DEVICE, stream)

    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        self._copy(array.ctypes.data, address, array.nbytes, TO_HOST, stream)

    def stream(self) -> int:
        return self._new("cudaStreamCreateWithFlags", ctypes.c_uint(NON_BLOCKING))

    def synchronize(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", ctypes.c_void_p(stream))

    def destroy_stream(self, stream: int) -> None:
        self._call("cudaStreamDestroy", ctypes.c_void_p(stream))

    @contextlib.contextmanager
    def capturing(self, stream: int) -> Iterator[list[int]]:
        """Capture the work that the block enqueues on ``stream``; the list then holds the executable graph.

        The list stays empty if CUDA cannot capture the work, or if the block raises ``BackendError``.
        """
        graphs: list[int] = []
        self._call("cudaStreamBeginCapture", ctypes.c_void_p(stream), ctypes.c_int(RELAXED_CAPTURE))
        ok = True
        try:
            yield graphs
        except BackendError:
            ok = False
        finally:
            graph = ctypes.c_void_p()
            end_status = self._library.cudaStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph))
        if end_status or not ok or not graph.value:
            self._library.cudaGetLastError()  # clears the error, which the next call would report
            return
        executable = ctypes.c_void_p()
        status = self._library.cudaGraphInstantiateWithFlags(
            ctypes.byref(executable), graph, ctypes.c_ulonglong(0)
        )
        self._call("cudaGraphDestroy", graph)
        if not status:
            graphs.append(executable.value)

    def launch(self, graph: int, stream: int) -> None:
        self._call("cudaGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def destroy_graph(self, graph: int) -> None:
        self._call("cudaGraphExecDestroy", ctypes.c_void_p(graph))

    def _copy(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        self._call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size),
            ctypes.c_int(kind),
            ctypes.c_void_p(stream),
        )

    def _new(self, name: str, *arguments: Any) -> int:
        pointer = ctypes.c_void_p()
        self._call(name, ctypes.byref(pointer), *arguments)
        return pointer.value or 0

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            self._library.cudaGetLastError()
            text = self._library.cudaGetErrorString(ctypes.c_int(status)).decode(errors="replace")
            raise BackendError(f"CUDA: {name} failed: {text} ({status}); restart, or free GPU memory")

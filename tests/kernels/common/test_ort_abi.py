"""The C++ header has the positions of functions in the installed ONNX Runtime's table."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from edgevid.kernels.common import build

HEADER = build.SOURCES / "common/ort/ort_abi.h"
POINTER = ctypes.c_void_p


@pytest.fixture(scope="module")
def places() -> dict[str, int]:
    return {name: int(place) for name, place in re.findall(r"using (\w+) = Entry<(\d+),", HEADER.read_text())}


@pytest.fixture(scope="module")
def table():
    """The runtime's table for the header's version."""
    import onnxruntime

    files = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if not files:
        pytest.skip("this build of ONNX Runtime has no library of its own")
    base = ctypes.CDLL(str(files[0])).OrtGetApiBase
    base.restype = ctypes.POINTER(POINTER)
    version = int(re.search(r"kApiVersion = (\d+)", HEADER.read_text()).group(1))
    get_api = ctypes.CFUNCTYPE(ctypes.POINTER(POINTER), ctypes.c_uint32)(base()[0])
    return get_api(version)


@pytest.fixture
def call(places, table):
    def call(name: str, *arguments, result=POINTER):
        return ctypes.CFUNCTYPE(result, *(type(argument) for argument in arguments))(table[places[name]])(
            *arguments
        )

    return call


def test_a_status_gives_back_its_message(call):
    status = POINTER(call("CreateStatus", ctypes.c_int(1), ctypes.c_char_p(b"a message")))
    assert call("GetErrorMessage", status, result=ctypes.c_char_p) == b"a message"
    call("ReleaseStatus", status, result=None)


def test_a_shape_gives_back_its_sizes(call):
    info, rank = POINTER(), ctypes.c_size_t()
    assert call("CreateShapeInfo", ctypes.pointer(info)) is None
    assert call("SetElementType", info, ctypes.c_int(1)) is None
    sizes = (ctypes.c_int64 * 3)(2, 3, 5)
    assert call("SetDimensions", info, ctypes.pointer(sizes), ctypes.c_size_t(3)) is None
    assert call("GetDimensionsCount", info, ctypes.pointer(rank)) is None
    assert rank.value == 3
    result = (ctypes.c_int64 * 3)()
    assert call("GetDimensions", info, ctypes.pointer(result), rank) is None
    assert list(result) == [2, 3, 5]
    call("ReleaseShapeInfo", info, result=None)


def test_each_place_is_named_once_and_is_in_the_table(places):
    # The rest of the table is called by every test that runs an op.
    assert len(set(places.values())) == len(places) > 15
    size = int(re.search(r"table\[(\d+)\]", HEADER.read_text()).group(1))
    assert max(places.values()) < size

"""Call the CUDA kernels on NumPy arrays or torch tensors.

Arrays have the logical shape ``(N*T, C, H, W)``. Those with memory ``(N*T, H, W, C)`` are channels-last:
NumPy's ``transpose`` and torch's ``channels_last`` make such arrays.
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any

from edgevid.errors import BackendError


def _structure(name: str, counts: str, pointers: str) -> type[ctypes.Structure]:
    fields: list[tuple[str, type]] = [(field, ctypes.c_int) for field in counts.split()]
    fields += [(field, ctypes.c_void_p) for field in pointers.split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields, "__doc__": f"As {name} in its cuda.cuh."})


TemporalShift = _structure(
    "TemporalShift", "images frames channels pixels fold first second lanes element_bytes", "x y"
)
TemporalShiftStep = _structure(
    "TemporalShiftStep", "images channels pixels fold lanes element_bytes", "x state y next_state"
)
TemporalConv = _structure(
    "TemporalConv",
    "batch frames channels pixels taps past channels_last half",
    "x weights bias state y next_state",
)
ChannelConv = _structure(
    "ChannelConv", "batch channels pixels filters taps stride pad_begin pad_end half", "x weights bias y"
)


def temporal_shift(
    library: ctypes.CDLL,
    x: Any,
    y: Any,
    *,
    frames: int,
    fold: int,
    first: int,
    second: int,
    lanes: int | None = None,
    shape: tuple[int, ...] | None = None,
    stream: int | None = None,
) -> None:
    """Shift ``x`` into ``y``. ``lanes`` and ``shape`` describe arrays in other blocks of channels."""
    images, channels, *plane = shape or x.shape
    call = TemporalShift(
        images, frames, channels, prod(plane), fold, first, second,
        lanes or (channels if _is_channels_last(x) else 1), x.itemsize, _address(x), _address(y),
    )  # fmt: skip
    _run(library.edgevid_temporal_shift, call, stream)


def temporal_shift_step(
    library: ctypes.CDLL, x: Any, state: Any, y: Any, next_state: Any, stream: int | None = None
) -> None:
    images, channels, *plane = x.shape
    lanes = channels if _is_channels_last(x) else 1
    arrays = (_address(array) for array in (x, state, y, next_state))
    call = TemporalShiftStep(images, channels, prod(plane), state.shape[1], lanes, x.itemsize, *arrays)
    _run(library.edgevid_temporal_shift_step, call, stream)


def temporal_conv(
    library: ctypes.CDLL,
    x: Any,
    weights: Any,
    bias: Any,
    y: Any,
    *,
    frames: int,
    past: int,
    state: Any = None,
    next_state: Any = None,
    stream: int | None = None,
) -> None:
    images, channels, *plane = x.shape
    arrays = (_address(array) for array in (x, weights, bias, state, y, next_state))
    call = TemporalConv(
        images // frames, frames, channels, prod(plane), weights.shape[1], past,
        _is_channels_last(x), x.itemsize == 2, *arrays,
    )  # fmt: skip
    _run(library.edgevid_temporal_conv, call, stream)


def channel_conv(
    library: ctypes.CDLL,
    x: Any,
    weights: Any,
    bias: Any,
    y: Any,
    *,
    stride: int = 1,
    pads: tuple[int, int] = (0, 0),
    stream: int | None = None,
) -> None:
    batch, channels, *plane = x.shape
    arrays = (_address(array) for array in (x, weights, bias, y))
    call = ChannelConv(batch, channels, prod(plane), *weights.shape, stride, *pads, x.itemsize == 2, *arrays)
    _run(library.edgevid_channel_conv, call, stream)


def _run(function: Any, call: ctypes.Structure, stream: int | None) -> None:
    error = function(ctypes.byref(call), ctypes.c_void_p(stream))
    if error:
        raise BackendError(
            f"{type(call).__name__}: the CUDA kernel failed (cudaError {error}): check its shapes"
        )


def _address(array: Any) -> int | None:
    if array is None:
        return None
    return array.data_ptr() if hasattr(array, "data_ptr") else array.ctypes.data


def _is_channels_last(array: Any) -> bool:
    """Whether neighboring channels are adjacent in memory, and there is more than one pixel."""
    strides = array.stride() if callable(getattr(array, "stride", None)) else array.strides
    unit = 1 if callable(getattr(array, "stride", None)) else array.itemsize
    return array.shape[1] > 1 and prod(array.shape[2:]) > 1 and strides[1] == unit

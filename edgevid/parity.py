"""Compare outputs with the expected ones, and read and write a bundle's example.

Needs only NumPy. ``backends/tensorrt/templates/check.py`` has the same rules for a board without NumPy.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.errors import BundleError
from edgevid.specs import PARITY, Parity

MAX_BYTES = 512 << 20
"""Limit for the arrays in a bundle's example; the largest clip of a network of the zoo takes 20 MiB."""
NUMBERS = "fiu"


def compare(result: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float) -> Parity:
    """The largest error over all outputs; ``max_rel`` is max|a-b| / max|b| with b the expected output.

    The error is infinite if an expected output is missing or has another shape, if any value is not finite,
    in other outputs (the states of a stream) too, or if nothing is expected.
    """
    distances = [_distance(result.get(name), reference) for name, reference in expected.items()]
    other_arrays = [array for name, array in result.items() if name not in expected]
    if not distances or not all(map(_is_finite, other_arrays)):
        return Parity(math.inf, math.inf, tolerance)
    max_abs, max_rel = (max(column) for column in zip(*distances))
    return Parity(max_abs, max_rel, tolerance)


def joined(parts: Sequence[Mapping[str, np.ndarray]], names: Iterable[str]) -> dict[str, np.ndarray]:
    """Concatenate the outputs ``names`` of several runs, on frames or clips, along axis 0."""
    return {name: np.concatenate([outputs[name] for outputs in parts]) for name in names}


def pushed(push: Callable[[np.ndarray], Mapping[str, np.ndarray]], clip: np.ndarray) -> dict[str, np.ndarray]:
    """Push each frame of the clip ``(1, T, 3, H, W)`` into a stream; its outputs, with a row per frame."""
    outputs = [push(np.ascontiguousarray(frame[None])) for frame in clip[0]]
    return joined(outputs, outputs[0])


def _distance(result: np.ndarray | None, expected: np.ndarray) -> tuple[float, float]:
    """max|a-b| and max|a-b| / max|b|; never NaN."""
    if result is None or np.shape(result) != np.shape(expected):
        return math.inf, math.inf
    if not (_is_finite(result) and _is_finite(expected)):
        return math.inf, math.inf
    reference = np.asarray(expected, np.float64)
    difference = float(np.abs(np.asarray(result, np.float64) - reference).max(initial=0.0))
    scale = float(np.abs(reference).max(initial=0.0))
    if difference == 0.0:
        return 0.0, 0.0
    return difference, difference / scale if scale else math.inf


def _is_finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def save(folder: Path, clip: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
    """Write ``parity.npz``. The clip is stored as fp16, which must represent it exactly."""
    half = clip.astype(np.float16)
    assert np.array_equal(half.astype(np.float32), clip), "the example must be exact in fp16"
    arrays: dict[str, Any] = {f"output_{name}": array for name, array in outputs.items()}
    np.savez_compressed(folder / PARITY, clip=half, **arrays)


def load(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The clip ``(1, T, 3, H, W)`` and the eager outputs by name; a stream's are ``(T, ...)``."""
    try:
        with zipfile.ZipFile(folder / PARITY) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it would be larger than {MAX_BYTES >> 20} MiB")
        with np.load(folder / PARITY, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
        if any(array.dtype.kind not in NUMBERS for array in arrays.values()):
            raise ValueError("it contains non-numeric arrays")
        outputs = {
            key.removeprefix("output_"): array for key, array in arrays.items() if key.startswith("output_")
        }
        return arrays["clip"].astype(np.float32), outputs
    except Exception as error:  # an untrusted file can be malformed in any way
        raise BundleError(f"'{folder / PARITY}' cannot be read ({error}): copy the bundle again") from None

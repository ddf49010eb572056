"""TensorRT's calibration cache: the scale of each tensor, for builds that quantize a float network.

The text format is TensorRT's own: a line ``TRT-VERSION-EntropyCalibration2``, then for each tensor
``NAME: HEX``, the float32 scale (the largest magnitude over 127) as the hexadecimal digits of its bits, most
significant first. TensorRT ignores a file of another version. No TensorRT has read these files here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from edgevid.errors import ExportError

MAX_INT8 = 127


def write_calibration_cache(
    path: Path, ranges: Mapping[str, tuple[float, float]], tensorrt_version: str
) -> None:
    """Write the scales of ``ranges`` for a TensorRT such as ``8.5.2`` or ``10.3`` (patch 0).

    Tensors that are all zeros are omitted, since a scale must be positive. Raises ``ExportError`` for an
    invalid version, or one that takes no calibration cache.
    """
    lines = [f"TRT-{version_number(tensorrt_version)}-EntropyCalibration2"]
    for name, (low, high) in ranges.items():
        scale = max(-low, high) / MAX_INT8
        if scale > 0:
            lines.append(f"{name}: {struct.pack('>f', scale).hex()}")
    path.write_text("\n".join(lines) + "\n")


def takes_cache(version: str) -> bool:
    """Whether this TensorRT quantizes with a cache: 8 and 10 do, 11 dropped it."""
    return version.split(".")[0] in ("8", "10")


def version_number(version: str) -> int:
    """``NV_TENSORRT_VERSION`` of a version: 8.5.2 is 8502, from TensorRT 10 on 10.3.0 is 100300."""
    parts = version.split(".")
    if not all(part.isdigit() for part in parts) or not 1 <= len(parts) <= 4:
        raise ExportError(f"'{version}' is not a TensorRT version: write it as 8.5.2 or 10.3.0")
    major, minor, patch = (*map(int, parts[:3]), 0, 0)[:3]
    if not takes_cache(version):
        raise ExportError(f"TensorRT {version} takes no calibration cache: use the QDQ model")
    return major * 1000 + minor * 100 + patch if major == 8 else major * 10000 + minor * 100 + patch

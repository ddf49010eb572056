"""The int8 files of a TensorRT bundle: a graph of quantise-dequantise pairs, and a calibration cache.

With pairs the graph itself says what is int8, the temporal shift included; TensorRT 8 and later take that.
TensorRT 10 takes it strongly typed, with fp16 between the pairs; before, the rest of the graph is float32,
for which the builder may choose fp16 itself. TensorRT 8 and 10 can also quantise the float graph by a cache
of scales, which ``build.sh`` tries too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends.trt_calibration import takes_cache, write_calibration_cache
from edgevid.backends.trt_versions import NEW_OPSETS, Requirement, Version

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.specs import PassReport

MODEL, CACHE = "model_int8.onnx", "calibration.cache"
TYPED = Requirement(NEW_OPSETS, "int8 between fp16 tensors")
"""What a strongly typed int8 graph needs: QuantizeLinear takes fp16 from opset 19 on."""


def is_typed(tensorrt: str) -> bool:
    """Whether a device with this TensorRT gets a strongly typed graph."""
    return Version.of(tensorrt) >= NEW_OPSETS


def to_int8(
    graph: ir.Model, ranges: Mapping[str, tuple[float, float]], tensorrt: str
) -> tuple[PassReport, ...]:
    """Quantise ``graph``, which is lowered and of opset 18, in place, for a device's TensorRT.

    ``ranges`` are the smallest and the largest value of the float graph's tensors by name. Raises
    ``ExportError`` if a weight is too large for fp16, or an operator is not in opset 13 for TensorRT 8.
    """
    from edgevid.passes import run_passes
    from edgevid.passes.quantise import TENSORRT, quantise
    from edgevid.passes.to_fp16 import to_fp16
    from edgevid.passes.to_opset_13 import to_opset_13

    in_pairs = partial(quantise, ranges=ranges, scheme=TENSORRT)
    return run_passes(graph, (in_pairs, to_fp16) if is_typed(tensorrt) else (to_opset_13, in_pairs))


def write_cache(
    graph: ir.Model, ranges: Mapping[str, tuple[float, float]], tensorrt: str, folder: Path
) -> bool:
    """Write ``calibration.cache`` for the float graph, if the device's TensorRT takes one; whether it did."""
    from edgevid.passes.quantise import spread_ranges

    if not takes_cache(tensorrt):
        return False
    write_calibration_cache(folder / CACHE, spread_ranges(graph, ranges), tensorrt)
    return True

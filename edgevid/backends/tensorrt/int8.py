"""The int8 files of a TensorRT bundle: a graph of quantise-dequantise pairs, and a calibration cache.

With pairs the graph itself says what is int8, the temporal shift included; TensorRT 8 and later take that.
TensorRT 10 takes it strongly typed, with fp16 between the pairs; before, the rest of the graph is float32,
for which the builder may choose fp16 itself. TensorRT 8 and 10 can also quantise the float graph by a cache
of scales, which ``build.sh`` tries too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends.tensorrt.calibration_cache import takes_cache, write_calibration_cache
from edgevid.backends.tensorrt.versions import NEW_OPSETS, Requirement, Version
from edgevid.onnxfile.shared_weights import save_with_weights, weights_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.protocol import Job
    from edgevid.passes.quantize.quantize import Exclusions
    from edgevid.specs import PassReport

MODEL, CACHE = "model_int8.onnx", "calibration.cache"
TYPED = Requirement(NEW_OPSETS, "int8 between fp16 tensors")
"""What a strongly typed int8 graph needs: QuantizeLinear takes fp16 from opset 19 on."""


@dataclass(frozen=True)
class Int8:
    """What was done to the graph, what it needs, what could not be tried, and why layers stay in float."""

    reports: tuple[PassReport, ...]
    needed: Requirement
    not_tried: list[str]
    float_layers: Mapping[str, str]


def is_typed(tensorrt: str) -> bool:
    """Whether a device with this TensorRT gets a strongly typed graph."""
    return Version.of(tensorrt) >= NEW_OPSETS


def to_int8(
    graph: ir.Model, ranges: Mapping[str, tuple[float, float]], tensorrt: str, kept: Exclusions | None = None
) -> tuple[PassReport, ...]:
    """Quantise ``graph``, which is lowered and of opset 18, in place, for a device's TensorRT.

    What is ``kept`` stays in float.
    ``ranges`` are the smallest and the largest value of the float graph's tensors by name. Raises
    ``ExportError`` if a weight is too large for fp16, or an operator is not in opset 13 for TensorRT 8.
    """
    from edgevid.passes import run_passes
    from edgevid.passes.quantize.quantize import ALL_INT8, quantize
    from edgevid.passes.quantize.scheme import TENSORRT
    from edgevid.passes.recurrent import layout_to_transposes
    from edgevid.passes.to_fp16 import to_fp16
    from edgevid.passes.to_opset_13 import to_opset_13

    in_pairs = partial(quantize, ranges=ranges, scheme=TENSORRT, exclusions=kept or ALL_INT8)
    if is_typed(tensorrt):
        return run_passes(graph, (layout_to_transposes, in_pairs, to_fp16))
    return run_passes(graph, (to_opset_13, in_pairs))


def write_int8(graph: ir.Model, job: Job, needed: Requirement, folder: Path) -> Int8:
    """``model_int8.onnx`` of a float graph, which is changed, and a cache if the device's TensorRT takes one.

    The files of the precision that it shares its weights with must have been written. Raises as ``to_int8``,
    and ``ParityError`` if int8 is too far from the network.
    """
    from edgevid.passes.quantize.quantize import propagate_ranges

    tensorrt, not_tried = job.target.device.tensorrt, []
    if takes_cache(tensorrt):
        write_calibration_cache(folder / CACHE, propagate_ranges(graph, job.calibration.ranges), tensorrt)
        not_tried.append(f"{CACHE}, with which build.sh lets TensorRT quantise the float network by itself")
    in_float = job.calibration.choose_float_layers(
        graph, lambda copy, kept: to_int8(copy, job.calibration.ranges, tensorrt, kept)
    )
    reports = to_int8(graph, job.calibration.ranges, tensorrt, in_float.kept)
    save_with_weights(graph, folder / MODEL, weights_of("fp16" if is_typed(tensorrt) else "fp32"))
    if is_typed(tensorrt) and needed.version < TYPED.version:
        needed = TYPED
    return Int8(reports, needed, not_tried, in_float.reasons)

"""The int8 files of a TensorRT bundle: a graph with QDQ nodes, and a calibration cache.

QDQ nodes state in the graph which tensors are int8, the temporal shift's included; TensorRT 8 and later take
them. TensorRT 10 takes the graph strongly typed, with fp16 tensors elsewhere; for older versions these are
float32, and the builder may choose fp16. TensorRT 8 and 10 can also quantize the float graph with a cache of
scales, which ``build.sh`` tries too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends.tensorrt.calibration_cache import takes_cache, write_calibration_cache
from edgevid.backends.tensorrt.shared_weights import save_with_weights, weights_of
from edgevid.backends.tensorrt.versions import NEW_OPSETS, Requirement, Version

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.protocol import Job
    from edgevid.passes.quantize.quantize import Exclusions
    from edgevid.specs import PassReport

MODEL, CACHE = "model_int8.onnx", "calibration.cache"
TYPED = Requirement(NEW_OPSETS, "int8 between fp16 tensors")
"""Needed by a strongly typed int8 graph: QuantizeLinear takes fp16 from opset 19 on."""


@dataclass(frozen=True)
class Int8Result:
    """The pass reports, the TensorRT requirement, ``not_run`` sentences, and why layers stay in float."""

    reports: tuple[PassReport, ...]
    requirement: Requirement
    not_run: list[str]
    float_layers: Mapping[str, str]


def is_typed(tensorrt: str) -> bool:
    """Whether a device with this TensorRT gets a strongly typed graph."""
    return Version.of(tensorrt) >= NEW_OPSETS


def to_int8(
    graph: ir.Model,
    ranges: Mapping[str, tuple[float, float]],
    tensorrt: str,
    exclusions: Exclusions | None = None,
) -> tuple[PassReport, ...]:
    """Quantize ``graph``, which is lowered and of opset 18, in place, for a device's TensorRT.

    ``ranges`` are the minimum and the maximum of the float graph's tensors by name; ``exclusions`` stay in
    float. Raises ``ExportError`` if a weight is too large for fp16, or an operator is not in opset 13 for
    TensorRT 8.
    """
    from edgevid.passes import run_passes
    from edgevid.passes.quantize.quantize import ALL_INT8, quantize
    from edgevid.passes.quantize.scheme import TENSORRT
    from edgevid.passes.recurrent import layout_to_transposes
    from edgevid.passes.to_fp16 import to_fp16
    from edgevid.passes.to_opset_13 import to_opset_13

    insert_qdq = partial(quantize, ranges=ranges, scheme=TENSORRT, exclusions=exclusions or ALL_INT8)
    if is_typed(tensorrt):
        return run_passes(graph, (layout_to_transposes, insert_qdq, to_fp16))
    return run_passes(graph, (to_opset_13, insert_qdq))


def write_int8(graph: ir.Model, job: Job, requirement: Requirement, folder: Path) -> Int8Result:
    """Write ``model_int8.onnx`` of a float graph, and a calibration cache if the device's TensorRT takes one.

    Changes ``graph``. The model files that share its weights must exist. Raises like ``to_int8``, and
    ``ParityError`` if int8 is too far from the network.
    """
    from edgevid.passes.quantize.quantize import propagate_ranges

    tensorrt, not_run = job.target.device.tensorrt, []
    if takes_cache(tensorrt):
        write_calibration_cache(folder / CACHE, propagate_ranges(graph, job.calibration.ranges), tensorrt)
        not_run.append(f"{CACHE}, with which build.sh lets TensorRT quantize the float network itself")
    in_float = job.calibration.choose_float_layers(
        graph, lambda copy, exclusions: to_int8(copy, job.calibration.ranges, tensorrt, exclusions)
    )
    reports = to_int8(graph, job.calibration.ranges, tensorrt, in_float.kept)
    save_with_weights(graph, folder / MODEL, weights_of("fp16" if is_typed(tensorrt) else "fp32"))
    if is_typed(tensorrt) and requirement.version < TYPED.version:
        requirement = TYPED
    return Int8Result(reports, requirement, not_run, in_float.reasons)

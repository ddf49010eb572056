"""TensorRT: ONNX lowered to few kernels, scripts that build the engine on the device, and its runner.

The engine is built on the device: by the bundle's ``build.sh`` with trtexec, or by ``open_model`` where
TensorRT's Python package and a GPU are available. Elsewhere the ONNX files are checked with ONNX Runtime when
the bundle is made, and kernels are counted in TensorRT-RTX's engine layer info, if that is installed.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.backends.protocol import OpenOptions
from edgevid.backends.tensorrt.choose_lowering import Selection, choose_variants
from edgevid.backends.tensorrt.int8 import to_int8, write_int8
from edgevid.backends.tensorrt.layer_info import LayerInfo, LayerInfoError, layer_info_of
from edgevid.backends.tensorrt.plugins import write_plugin_models
from edgevid.backends.tensorrt.scripts import write_check_data, write_scripts
from edgevid.backends.tensorrt.shared_weights import save_with_weights, weights_of
from edgevid.backends.tensorrt.versions import NEW_OPSETS, Requirement, check_target
from edgevid.errors import BackendError, ExportError
from edgevid.specs import PLAN, Artefact, Availability

if TYPE_CHECKING:
    from edgevid.backends.tensorrt.runtime.runner import TensorRTRunner
    from edgevid.specs import Target

CHECKED_WITH = "onnxruntime"


def available() -> Availability:
    """Whether an engine can be built here; bundles can be made everywhere."""
    from edgevid.backends.tensorrt.runtime import cuda as trt_cuda
    from edgevid.backends.tensorrt.runtime.engine import import_tensorrt

    try:
        trt, cuda = import_tensorrt(), trt_cuda.load()
        return Availability(True, f"TensorRT {trt.__version__} builds and runs engines on {cuda.name()}")
    except BackendError as error:
        no_session_reason = str(error)
    trtexec = shutil.which("trtexec") or shutil.which("trtexec", path="/usr/src/tensorrt/bin")
    if trtexec:
        return Availability(
            True, f"{trtexec} builds engines; bundles can be made; no sessions: {no_session_reason}"
        )
    return Availability(
        False,
        "bundles can be made here, engines are built on the device",
        f"trtexec is not on this machine; {no_session_reason}",
        "copy the bundle to the device and run its build.sh there",
    )


@functools.cache
def opens_here() -> bool:
    """Whether ``open_model`` works: TensorRT is importable and new enough, and there is a GPU."""
    from edgevid.backends.tensorrt.runtime import cuda as trt_cuda
    from edgevid.backends.tensorrt.runtime.engine import import_tensorrt

    try:
        import_tensorrt()
        trt_cuda.load()
    except BackendError:
        return False
    return True


def open_model(artefact: Artefact, folder: Path, options: OpenOptions) -> TensorRTRunner:
    """Open the engine of an ONNX file, built unless it is cached; of the options only the digests matter.

    Raises ``BackendError`` if TensorRT is missing or too old for the bundle, or cannot build it.
    """
    from edgevid.backends.tensorrt.runtime import cuda as trt_cuda
    from edgevid.backends.tensorrt.runtime.engine import check_bundle, engine_of, import_tensorrt
    from edgevid.backends.tensorrt.runtime.runner import TensorRTRunner
    from edgevid.host.local_cache import cache_of

    trt, cuda = import_tensorrt(), trt_cuda.load()
    check_bundle(trt, folder)
    path = folder / artefact.file
    return TensorRTRunner(trt, cuda, *engine_of(trt, cuda, path, cache_of(folder), options.digests))


def compile(graph, job, folder: Path):
    """Write ``model_fp32.onnx``, ``model_fp16.onnx``, the same with plugins, ``plan.json``, scripts, a
    README.

    For int8 also ``model_int8.onnx`` and, where the device's TensorRT takes one, ``calibration.cache``.
    Raises ``ExportError`` if that TensorRT is too old for the network, or fp16 cannot hold a weight.
    """

    from edgevid.backends.protocol import Compiled
    from edgevid.passes import run_passes
    from edgevid.passes.lower import lowering
    from edgevid.passes.to_fp16 import to_fp16

    tensorrt = _tensorrt_of(job.target)

    def finish(copy, variants):
        run_passes(copy, lowering(variants))
        if job.precision == "int8":
            to_int8(copy, job.calibration.ranges, tensorrt)
            return copy
        _to_opset(copy, check_target(copy, job.target.title, tensorrt))
        if job.precision == "fp16":
            run_passes(copy, (to_fp16,))
        return copy

    plugin_graph = graph.clone()
    selection = choose_variants(graph, finish, job.target.gpu.typical)
    reports = run_passes(graph, lowering(selection.variants))
    kernels = _kernels(reports, selection.variants)
    requirement = float_requirement = check_target(graph, job.target.title, tensorrt)
    reports += (selection.report,)
    precisions, not_run = ["fp32"], [_not_built(job)]
    int8_graph = graph.clone() if job.precision == "int8" else None
    reports += _to_opset(graph, requirement)
    save_with_weights(graph, folder / "model_fp32.onnx", weights_of("fp32"))
    try:
        reports += run_passes(graph, (to_fp16,))
        save_with_weights(graph, folder / "model_fp16.onnx", weights_of("fp16"))
        precisions.append("fp16")
    except ExportError as error:
        if job.precision == "fp16":
            raise
        not_run.append(f"model_fp16.onnx, left out: {error}")
    float_layers: Mapping[str, str] = {}
    if int8_graph is not None:
        int8 = write_int8(int8_graph, job, requirement, folder)
        reports, not_run = reports + int8.reports, not_run + int8.not_run
        requirement, float_layers = int8.requirement, int8.float_layers
        precisions.append("int8")
    model_file = f"model_{job.precision}.onnx"
    plan = _write_layer_info(folder, model_file, job, selection)
    if plan["why_none"]:
        not_run.append(f"the count of kernels in an engine: {plan['why_none']}")
    artefacts = tuple(
        _artefact(name, requirement if name == "int8" else float_requirement) for name in precisions
    )
    float_precisions = [precision for precision in precisions if precision != "int8"]
    not_run += write_plugin_models(plugin_graph, job, folder, float_precisions)
    write_check_data(job, folder)
    write_scripts(job, folder, requirement, not_run[0])
    return Compiled(model_file, artefacts, kernels, reports, tuple(not_run), plan, float_layers)


def _tensorrt_of(target: Target) -> str:
    """The version of TensorRT on a target; ``ExportError`` if its file lacks that, or the GPU."""
    for key, value in (("device.tensorrt", target.device.tensorrt), ("gpu.compute_capability", target.gpu)):
        if not value:
            raise ExportError(
                f"target {target.name} has no {key}, which TensorRT needs: add it to {target.name}.toml"
            )
    return target.device.tensorrt


def _artefact(precision: str, requirement: Requirement) -> Artefact:
    purpose = f"TensorRT {requirement.version} or later"
    return Artefact(f"model_{precision}.onnx", precision, purpose, opened_by=CHECKED_WITH)


def _to_opset(graph, requirement: Requirement) -> tuple:
    """Rewrite ``graph`` to opset 13, if the oldest TensorRT for it reads no newer one; returns reports."""
    from edgevid.passes import run_passes
    from edgevid.passes.recurrent import layout_to_transposes
    from edgevid.passes.to_opset_13 import to_opset_13

    return run_passes(graph, (to_opset_13 if requirement.version < NEW_OPSETS else layout_to_transposes,))


def _kernels(reports, variants: Mapping[str, str]) -> tuple[str, ...]:
    """Each temporal op type, its lowering, and the number of ops."""
    from edgevid.ops import OPS

    names, ops_by_pass = [], {f"lower_{op.snake_name}": op for op in OPS.values()}
    for report in reports:
        if report.matched and (op := ops_by_pass.get(report.name)):
            # Streaming steps have only the default variant, so none was selected for them.
            description = op.variants[variants.get(op.name, op.default_variant)]
            names.append(f"{op.name} ({description}) x{report.matched}")
    return tuple(names)


def _write_layer_info(folder: Path, model_file: str, job, selection: Selection) -> dict[str, Any]:
    """Write ``plan.json``: the engine layer info of the model file, and each candidate. Returns the sums."""
    info: LayerInfo | None = None
    reason = ""
    try:
        info = layer_info_of(folder / model_file, job.target.gpu.typical)
    except LayerInfoError as error:
        reason = str(error)
    content = {
        "file": model_file,
        "target_compute_capability": str(job.target.gpu),
        "why_none": reason,
        **(info.as_dict() if info else {"plan": None, "kernels": None, "copies": None}),
        "forms": selection.variants,
        "trials": [candidate.as_dict() for candidate in selection.candidates],
    }
    (folder / PLAN).write_text(json.dumps(content, indent=1) + "\n")
    return {key: value for key, value in content.items() if key not in ("layers", "trials")}


def _not_built(job) -> str:
    return (
        f"the engine build and run on {job.target.title} with TensorRT {job.target.device.tensorrt} "
        "(build.sh and run.sh do both on the device)"
    )

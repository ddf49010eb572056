"""TensorRT: ONNX in the form of fewest kernels, scripts that build the engine on the device, and its runner.

The engine is built on the device: by the bundle's ``build.sh`` with trtexec, or by ``open_model`` where
TensorRT's Python package and a GPU are at hand. Elsewhere the ONNX files are checked in ONNX Runtime by
whoever makes the bundle, and kernels are counted in the plan of TensorRT-RTX, if that is installed.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.backends.protocol import OpenOptions
from edgevid.backends.tensorrt.choose_lowering import Choice, choose_forms
from edgevid.backends.tensorrt.int8 import to_int8, write_int8
from edgevid.backends.tensorrt.layer_info import NoPlanError, Plan, plan_of
from edgevid.backends.tensorrt.plugins import write_plugin_models
from edgevid.backends.tensorrt.scripts import write_check_data, write_scripts
from edgevid.backends.tensorrt.versions import NEW_OPSETS, Requirement, check_target
from edgevid.errors import BackendError, ExportError
from edgevid.onnxfile.shared_weights import save_with_weights, weights_of
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
        why_no_session = str(error)
    trtexec = shutil.which("trtexec") or shutil.which("trtexec", path="/usr/src/tensorrt/bin")
    if trtexec:
        return Availability(
            True, f"{trtexec} builds engines; bundles can be made; no sessions: {why_no_session}"
        )
    return Availability(
        False,
        "bundles can be made here, engines are built on the device",
        f"trtexec is not on this machine; {why_no_session}",
        "copy the bundle to the device and run its build.sh there",
    )


@functools.cache
def opens_here() -> bool:
    """Whether ``open_model`` can: TensorRT is importable and new enough, and a GPU answers."""
    from edgevid.backends.tensorrt.runtime import cuda as trt_cuda
    from edgevid.backends.tensorrt.runtime.engine import import_tensorrt

    try:
        import_tensorrt()
        trt_cuda.load()
    except BackendError:
        return False
    return True


def open_model(artefact: Artefact, folder: Path, options: OpenOptions) -> TensorRTRunner:
    """The engine of an ONNX file, built unless it was before, on the GPU; it uses the digests alone.

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
    """``model_fp32.onnx``, ``model_fp16.onnx``, the same with plugins, ``plan.json``, scripts, a README.

    For int8 also ``model_int8.onnx`` and, where the device's TensorRT takes one, ``calibration.cache``.
    Raises ``ExportError`` if that TensorRT is too old for the network, or fp16 cannot hold a weight.
    """

    from edgevid.backends.protocol import Compiled
    from edgevid.passes import run_passes
    from edgevid.passes.lower import lowering
    from edgevid.passes.to_fp16 import to_fp16

    tensorrt = _tensorrt_of(job.target)

    def finish(copy, forms):
        run_passes(copy, lowering(forms))
        if job.precision == "int8":
            to_int8(copy, job.calibration.ranges, tensorrt)
            return copy
        _to_opset(copy, check_target(copy, job.target.title, tensorrt))
        if job.precision == "fp16":
            run_passes(copy, (to_fp16,))
        return copy

    with_plugins = graph.clone()
    choice = choose_forms(graph, finish, job.target.gpu.typical)
    reports = run_passes(graph, lowering(choice.forms))
    kernels = _kernels(reports, choice.forms)
    needed = least = check_target(graph, job.target.title, tensorrt)
    reports += (choice.report,)
    precisions, not_run = ["fp32"], [_not_built(job)]
    to_quantise = graph.clone() if job.precision == "int8" else None
    reports += _to_opset(graph, needed)
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
    if to_quantise is not None:
        int8 = write_int8(to_quantise, job, needed, folder)
        reports, not_run = reports + int8.reports, not_run + int8.not_tried
        needed, float_layers = int8.needed, int8.float_layers
        precisions.append("int8")
    model_file = f"model_{job.precision}.onnx"
    plan = _write_plan(folder, model_file, job, choice)
    if plan["why_none"]:
        not_run.append(f"the count of kernels in a fused plan: {plan['why_none']}")
    artefacts = tuple(_artefact(name, needed if name == "int8" else least) for name in precisions)
    plain = [precision for precision in precisions if precision != "int8"]
    not_run += write_plugin_models(with_plugins, job, folder, plain)
    write_check_data(job, folder)
    write_scripts(job, folder, needed, not_run[0])
    return Compiled(model_file, artefacts, kernels, reports, tuple(not_run), plan, float_layers)


def _tensorrt_of(target: Target) -> str:
    """The version of TensorRT on a target; ``ExportError`` if its file does not say that, or its GPU."""
    for key, value in (("device.tensorrt", target.device.tensorrt), ("gpu.compute_capability", target.gpu)):
        if not value:
            raise ExportError(
                f"target {target.name} does not say its {key}, which TensorRT needs: "
                f"add it to {target.name}.toml"
            )
    return target.device.tensorrt


def _artefact(precision: str, needed: Requirement) -> Artefact:
    purpose = f"TensorRT {needed.version} or later"
    return Artefact(f"model_{precision}.onnx", precision, purpose, opened_by=CHECKED_WITH)


def _to_opset(graph, needed: Requirement) -> tuple:
    """Rewrite ``graph`` to opset 13, if the least TensorRT that it needs reads no other; gives reports."""
    from edgevid.passes import run_passes
    from edgevid.passes.recurrent import layout_to_transposes
    from edgevid.passes.to_opset_13 import to_opset_13

    return run_passes(graph, (to_opset_13 if needed.version < NEW_OPSETS else layout_to_transposes,))


def _kernels(reports, forms: Mapping[str, str]) -> tuple[str, ...]:
    """Each kind of temporal op, what it became, and how many."""
    from edgevid.ops import OPS

    names, lowered = [], {f"lower_{op.snake_name}": op for op in OPS.values()}
    for report in reports:
        if report.matched and (op := lowered.get(report.name)):
            # A stream's steps have the default alone, so nothing was chosen for them.
            words = op.variants[forms.get(op.name, op.default_variant)]
            names.append(f"{op.name} ({words}) x{report.matched}")
    return tuple(names)


def _write_plan(folder: Path, model_file: str, job, choice: Choice) -> dict[str, Any]:
    """``plan.json``: the fused plan of the model file, what each form would have cost. Gives its sums."""
    plan: Plan | None = None
    why_none = ""
    try:
        plan = plan_of(folder / model_file, job.target.gpu.typical)
    except NoPlanError as error:
        why_none = str(error)
    content = {
        "file": model_file,
        "target_compute_capability": str(job.target.gpu),
        "why_none": why_none,
        **(plan.as_dict() if plan else {"plan": None, "kernels": None, "copies": None}),
        "forms": choice.forms,
        "trials": [trial.as_dict() for trial in choice.trials],
    }
    (folder / PLAN).write_text(json.dumps(content, indent=1) + "\n")
    return {key: value for key, value in content.items() if key not in ("layers", "trials")}


def _not_built(job) -> str:
    return (
        f"the engine build and run on {job.target.title} with TensorRT {job.target.device.tensorrt} "
        "(build.sh and run.sh do both on the device)"
    )

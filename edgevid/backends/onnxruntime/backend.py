"""ONNX Runtime: writes ONNX (and ORT format for phones), and opens both.

The network is written twice with shared weights: once with each temporal op as one node of the ``edgevid``
domain, whose function body is in the model, and once in standard operators only, since OpenVINO and TensorRT
do not read model-local functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevid.backends.kernels import count_temporal_ops
from edgevid.backends.onnxruntime.android import TEMPLATES, save_ort_format, write_android
from edgevid.backends.onnxruntime.runner import ORT_SUFFIX, OnnxRuntimeRunner
from edgevid.backends.protocol import OpenOptions
from edgevid.backends.readme import write_readme
from edgevid.errors import BackendError
from edgevid.host.processor import usable_cores
from edgevid.ops import DOMAIN
from edgevid.specs import Artefact, Availability

NAME = "onnxruntime"
MODEL, STANDARD_MODEL, ORT_MODEL, WEIGHTS = "model.edgevid.onnx", "model.onnx", "model.ort", "model.weights"
INT8_MODEL = "model.int8.onnx"
ORT_MARK = b"ORTM"
"""The magic bytes of a model in ORT format."""
INLINE_BYTES = 256
"""Tensors up to this size stay in the model file: shapes must be readable without the weights."""


def available() -> Availability:
    try:
        import onnxruntime
    except ImportError as error:
        return Availability(False, "", str(error), "pip install onnxruntime")
    providers = ", ".join(
        name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
    )
    from edgevid.kernels.common.build import origin

    return Availability(True, f"ONNX Runtime {onnxruntime.__version__} ({providers}), {origin()}")


def compile_kernels() -> None:
    from edgevid.kernels.common.build import library

    library()


def compile(graph, job, folder: Path):
    """Write ``model.edgevid.onnx`` and ``model.onnx`` with shared weights, and perhaps ``model.ort``."""
    import onnx_ir as ir

    from edgevid.backends.protocol import Compiled
    from edgevid.passes import LOWERING, run_passes

    if job.precision == "int8":
        return _compile_int8(graph, job, folder)
    kernels = count_temporal_ops(graph, "portable function")
    # External weights are mapped, not parsed: opening needs half the memory.
    ir.save(graph, folder / MODEL, external_data=WEIGHTS, size_threshold_bytes=INLINE_BYTES)
    passes = run_passes(graph, LOWERING)
    in_weights_file = ir.load(folder / MODEL).graph.initializers
    for name, value in graph.graph.initializers.items():
        if name in in_weights_file:
            value.const_value = in_weights_file[name].const_value
    ir.save(graph, folder / STANDARD_MODEL)
    artefacts = [
        Artefact(MODEL, "fp32", "edgevid, ONNX Runtime: temporal ops as nodes", opened_by=NAME),
        Artefact(STANDARD_MODEL, "fp32", "any runtime that reads ONNX, such as OpenVINO", opened_by=NAME),
    ]
    not_run = _not_run(job)
    formats = job.target.device.formats
    if "ort" in formats:
        save_ort_format(folder / STANDARD_MODEL, folder / ORT_MODEL)
        artefacts.append(
            Artefact(ORT_MODEL, "fp32", "ONNX Runtime, reduced builds for phones too", opened_by=NAME)
        )
    if job.target.device.os == "android":
        app_artefacts, app_not_run = write_android(job, folder / MODEL, folder, not_run)
        artefacts += app_artefacts
        not_run += app_not_run
    elif not_run:
        write_readme(folder, job, NAME, TEMPLATES / "README.onnxruntime.md", not_run=not_run[0])
    return Compiled(MODEL, tuple(artefacts), kernels, passes, tuple(not_run))


def _compile_int8(graph, job, folder: Path):
    """Write ``model.int8.onnx`` only, in standard operators, without float weights."""
    import onnx_ir as ir

    from edgevid.backends.protocol import Compiled
    from edgevid.passes import LOWERING, run_passes
    from edgevid.passes.quantize.quantize import Exclusions, quantize
    from edgevid.passes.quantize.scheme import ONNXRUNTIME

    kernels = count_temporal_ops(graph, "standard operators")

    def to_int8(copy: ir.Model, exclusions: Exclusions):
        return run_passes(
            copy, (*LOWERING, lambda model: quantize(model, job.calibration.ranges, ONNXRUNTIME, exclusions))
        )

    in_float = job.calibration.choose_float_layers(graph, to_int8)
    passes = to_int8(graph, in_float.kept)
    ir.save(graph, folder / INT8_MODEL)
    artefact = Artefact(INT8_MODEL, "int8", "ONNX Runtime: quantized operators", opened_by=NAME)
    return Compiled(
        INT8_MODEL, (artefact,), kernels, passes, tuple(_not_run(job)), float_layers=in_float.reasons
    )


def _not_run(job) -> list[str]:
    if job.target.architecture == "any":
        return []
    return [f"ONNX Runtime on a device of target {job.target.name} (what was checked ran here)"]


def open_model(artefact: Artefact, folder: Path, options: OpenOptions) -> OnnxRuntimeRunner:
    """Open a model file, with edgevid's kernels if ``options`` ask for them and the CPU runs it.

    Otherwise the function bodies of the temporal ops run.
    """
    import onnxruntime

    path = folder / artefact.file
    is_ort = _is_ort_format(path)
    providers = [name for name in options.providers if name in onnxruntime.get_available_providers()]
    threads = options.threads or usable_cores()
    if is_ort:
        return _open_ort_format(path, threads, providers, options.shares_cores)
    if options.with_kernels and not providers and artefact.precision == "fp32":
        from edgevid.backends.onnxruntime.specialize.pipeline import specialize
        from edgevid.host.local_cache import cache_of, secret_is_persistent

        cache = cache_of(folder)
        specialized = specialize(path, cache, threads, secret_is_persistent(), options.digests)
        return OnnxRuntimeRunner(
            specialized.path,
            threads,
            providers,
            specialized.configure,
            specialized.op_coverage,
            options.shares_cores,
            source=path,
        )
    return OnnxRuntimeRunner(path, threads, providers, shares_cores=options.shares_cores)


def _is_ort_format(path: Path) -> bool:
    """``BackendError`` if suffix and content differ: only ``.onnx`` is searched for weight files."""
    with open(path, "rb") as file:
        is_ort = file.read(8)[4:] == ORT_MARK
    if path.suffix != (ORT_SUFFIX if is_ort else ".onnx"):
        raise BackendError(f"the content of '{path}' does not match its suffix '{path.suffix}': export again")
    return is_ort


def _open_ort_format(
    path: Path, threads: int, providers: Sequence[str], shares_cores: bool
) -> OnnxRuntimeRunner:
    """Open a model in ORT format; one with edgevid's kernels inside needs their library."""
    try:
        return OnnxRuntimeRunner(path, threads, providers, shares_cores=shares_cores)
    except BackendError:
        if DOMAIN.encode() not in path.read_bytes():
            raise
        return OnnxRuntimeRunner(
            path, threads, (), lambda options: _register_kernels(options, path), shares_cores=shares_cores
        )


def _register_kernels(options: Any, path: Path) -> None:
    from edgevid.backends.onnxruntime.specialize.runtime import load_as_optimized
    from edgevid.kernels.common.build import library_or_reason

    library = library_or_reason()
    if isinstance(library, str):
        raise BackendError(f"{path.name} needs edgevid's kernels, but {library}")
    load_as_optimized(options, library)

"""ONNX Runtime: writes ONNX (and ORT format for phones), and opens both.

The network is written twice with shared weights: once with each temporal op as one node of the ``edgevid``
domain, whose function body is in the model, and once in standard operators only, since OpenVINO and TensorRT
do not read model-local functions.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.backends.kernels import count_temporal_ops
from edgevid.backends.onnxruntime.android import TEMPLATES, save_ort_format, write_android
from edgevid.backends.onnxruntime.session_options import session_options
from edgevid.backends.protocol import OpCoverage, OpenOptions
from edgevid.backends.readme import write_readme
from edgevid.backends.stepper import DoubleBufferedStepper
from edgevid.errors import BackendError, first_line
from edgevid.host.processor import usable_cores
from edgevid.ops import DOMAIN
from edgevid.specs import Artefact, Availability, StateSpec

if TYPE_CHECKING:
    from edgevid.backends.onnxruntime.profile.profiler import NodeProfiler

NAME = "onnxruntime"
MODEL, STANDARD_MODEL, ORT_MODEL, WEIGHTS = "model.edgevid.onnx", "model.onnx", "model.ort", "model.weights"
INT8_MODEL = "model.int8.onnx"
ORT_SUFFIX, ORT_MARK = ".ort", b"ORTM"
"""The suffix and the magic bytes of a model in ORT format, which includes its weights."""
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


class OnnxRuntimeRunner:
    """A session of ONNX Runtime; inputs and outputs by name.

    ``source`` is the bundle's file if the one at ``path`` was made from it.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        providers: Sequence[str],
        configure: Callable[[Any], None] = lambda options: None,
        op_coverage: tuple[OpCoverage, ...] = (),
        shares_cores: bool = False,
        source: Path | None = None,
    ) -> None:
        import onnxruntime

        from edgevid.backends.onnxruntime.int8 import needs_wider_products

        self._ort, self.threads, self.op_coverage = onnxruntime, threads, op_coverage
        # Inputs and outputs stay in the memory of the processor, and a GPU's provider copies them.
        self.step_includes = ("transfers", "inference", "synchronization") if providers else ("inference",)
        self._path, self._source, self._configure = path, source or path, configure
        self._open_again = functools.partial(
            OnnxRuntimeRunner, path, threads, providers, op_coverage=op_coverage, shares_cores=shares_cores
        )
        options = session_options(threads, shares_cores)
        options.add_session_config_entry("session.x64quantprecision", str(int(needs_wider_products())))
        configure(options)
        try:
            self._session = onnxruntime.InferenceSession(path, options, [*providers, "CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise BackendError(
                f"ONNX Runtime {onnxruntime.__version__} cannot open '{path}': {first_line(error)}. "
                "Update it (pip install -U onnxruntime) or export again"
            ) from error
        self.inputs = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
        self.outputs = [output.name for output in self._session.get_outputs()]
        _return_freed_memory()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(self.outputs, dict(inputs))))

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A function that runs one inference on ``inputs``; every run writes outputs to the same memory."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self._ort.OrtValue.ortvalue_from_numpy(array))
        for output in self._session.get_outputs():
            binding.bind_ortvalue_output(output.name, self._empty(output.shape, output.type))
        run = self._session.run_with_iobinding
        return lambda: run(binding)

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(Bindings(self._session, self._ort, frame, states), states)

    def profiler(self) -> NodeProfiler:
        from edgevid.backends.onnxruntime.profile.profiler import NodeProfiler

        if self._path.suffix == ORT_SUFFIX:
            raise BackendError(
                f"'{self._path.name}' has no graph that a profile can name: open the .onnx file"
            )
        return NodeProfiler(self._open_again, self._configure, self._source, self._path)

    def end_profiling(self) -> Path:
        """The file of the profiler, if the options asked for one."""
        return Path(self._session.end_profiling())

    def _empty(self, shape: Sequence[int], type_: str):
        return _zeros(self._ort, shape, _numpy_type(type_))


class Bindings:
    """A ``DoubleBuffer`` with an I/O binding for each direction between the two sets of states."""

    def __init__(self, session: Any, ort: Any, frame: str, states: Sequence[StateSpec]) -> None:
        self._session = session
        kinds = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
        self._frame = np.zeros(kinds[frame].shape, _numpy_type(kinds[frame].type))
        frame_value = ort.OrtValue.ortvalue_from_numpy(self._frame)
        state_outputs = {state.output for state in states}
        self._results = {
            output.name: _zeros(ort, output.shape, _numpy_type(output.type))
            for output in session.get_outputs()
            if output.name not in state_outputs
        }
        self._sets = [
            {state.input: _zeros(ort, state.shape, state.dtype) for state in states} for _ in range(2)
        ]
        self._bindings = []
        for source, target in ((0, 1), (1, 0)):
            binding = session.io_binding()
            binding.bind_ortvalue_input(frame, frame_value)
            for state in states:
                binding.bind_ortvalue_input(state.input, self._sets[source][state.input])
                binding.bind_ortvalue_output(state.output, self._sets[target][state.input])
            for name, value in self._results.items():
                binding.bind_ortvalue_output(name, value)
            self._bindings.append(binding)

    def write_frame(self, frame: np.ndarray) -> None:
        self._frame[...] = frame

    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None:
        self._sets[number][state.input].update_inplace(value)

    def infer(self, number: int) -> None:
        self._session.run_with_iobinding(self._bindings[number])

    def results(self) -> dict[str, np.ndarray]:
        return {name: value.numpy().copy() for name, value in self._results.items()}


def _zeros(ort, shape: Sequence[int], dtype: np.dtype | str):
    return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype))


def _numpy_type(type_: str) -> np.dtype:
    name = type_.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))


def _return_freed_memory() -> None:
    """Return what the session freed while it re-ordered the weights: glibc would keep a copy's worth."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

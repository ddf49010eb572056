"""Open a bundle's ONNX model with this machine's kernels: ``specialize`` is the entry point.

ONNX Runtime optimizes the network without its temporal ops; then they are swapped in (``fuse_shift``,
``placeholder``), the result is compared with the unmodified network and cached (``cache``).
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.specialize import coverage
from edgevid.backends.onnxruntime.specialize.cache import Cache
from edgevid.backends.onnxruntime.specialize.drop_reorders import stay_in_blocks
from edgevid.backends.onnxruntime.specialize.excitation import excite_in_blocks
from edgevid.backends.onnxruntime.specialize.fuse_depthwise import swap_depthwise
from edgevid.backends.onnxruntime.specialize.fuse_frame_stack import StackedConv, bypass_stacks, swap_stacks
from edgevid.backends.onnxruntime.specialize.fuse_shift import (
    FIRST_MARK,
    BypassedShift,
    FusionError,
    bypass,
    shifts_of,
    swap,
)
from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.placeholder import (
    Placeholder,
    PlaceholderError,
    insert_placeholders,
    replace_placeholders,
)
from edgevid.backends.onnxruntime.specialize.winograd import swap_winograd
from edgevid.backends.protocol import OpCoverage
from edgevid.errors import BackendError, first_line
from edgevid.onnxfile.external_files import external_files
from edgevid.onnxfile.graph import Model, float_value
from edgevid.parity import compare

MODEL, WEIGHTS = "optimized.onnx", "optimized.weights"
TOLERANCE = 1e-5
log = logging.getLogger("edgevid")


@dataclass(frozen=True)
class SpecializedModel:
    """A model file, and the function that configures the options of the session that opens it."""

    path: Path
    configure: Callable[[object], None]
    op_coverage: tuple[OpCoverage, ...]


PROGRAM = "import sys; from edgevid.backends.onnxruntime.specialize.pipeline import main; main(*sys.argv[1:])"


def specialize(
    path: Path,
    cache_folder: Path | None,
    threads: int,
    in_subprocess: bool = False,
    digests: Mapping[str, str] | None = None,
) -> SpecializedModel:
    """Specialize the model at ``path`` (weights in the same folder) for this processor and ONNX Runtime.

    A missing compiler, a full ``cache_folder`` or a missing kernel is no error: the network then runs
    unmodified, and the op coverage gives the reason. Raises ``BackendError`` for an ``EDGEVID_ISA`` that this
    machine lacks. ``in_subprocess`` fills the cache in a subprocess, whose memory, several times the weights,
    is freed when it exits. ``digests`` maps file names to those SHA-256 digests that are already computed.
    """
    from edgevid.kernels import build

    library = build.library_or_reason()
    model, weight_files = _read(path)
    if isinstance(library, str):
        return _as_it_is(path, model, library)
    isa = isa_of(library)
    files = [path, *(path.parent / name for name in weight_files)]
    cache = Cache(cache_folder, files, (library.stem, isa), digests)
    entry = cache.load()
    if entry is None and in_subprocess and cache_folder is not None and sys.executable:
        arguments = (str(path.absolute()), str(cache_folder.absolute()), str(threads))
        subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True)
        entry = cache.load()
    if entry is None:
        try:
            entry = cache.store(lambda folder: _make(path, folder, library, threads))
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            reason = f"the kernels could not be inserted: {first_line(error)}"
            log.warning(reason)
            return _as_it_is(path, model, reason)
    folder, record = entry
    if not (folder / MODEL).is_file():
        return _as_it_is(path, model, record["reason"])
    return SpecializedModel(
        folder / MODEL,
        lambda options: load_as_optimized(options, library),
        tuple(OpCoverage(**item) for item in record["ops"]),
    )


def _read(path: Path) -> tuple[Model, list[str]]:
    """Return the model at ``path`` and the names of its weight files."""
    data = path.read_bytes()
    try:
        return Model(data), sorted(external_files(memoryview(data)))
    except Exception as error:  # an untrusted file can be malformed in any way
        raise BackendError(f"'{path}' is not a valid ONNX model ({error}): export again") from error


def main(path: str, cache_folder: str, threads: str) -> None:
    """The entry point of the subprocess."""
    specialize(Path(path), Path(cache_folder), int(threads))


def isa_of(library: Path) -> str:
    """The instruction set that the library selects on this machine."""
    message = ctypes.create_string_buffer(300)
    function = ctypes.CDLL(str(library)).edgevid_isa
    function.restype = ctypes.c_char_p
    name = function(message, len(message))
    if name is None:
        raise BackendError(message.value.decode())
    return name.decode()


def _as_it_is(path: Path, model: Model, reason: str) -> SpecializedModel:
    op_coverage = tuple(coverage.coverage_of(model, op, None, reason) for op in coverage.temporal_ops(model))
    return SpecializedModel(path, lambda options: None, op_coverage)


def write_plain(path: Path, folder: Path, library: Path, threads: int) -> dict:
    """Write the model at ``path`` with kernels in plain layout, for any processor, to ``folder / MODEL``.

    Where ONNX Runtime has no blocked layout, as on arm64, ``specialize`` gives the same. Returns a record:
    ``reason`` says why nothing was written, ``ops`` holds an ``OpCoverage`` as a dict for each temporal op.
    """
    return _make(path, folder, library, threads, in_blocks=False)


def _make(path: Path, folder: Path, library: Path, threads: int, in_blocks: bool = True) -> dict:
    """Write the specialized model into ``folder``; the record is that of ``write_plain``."""
    block = block_size() if in_blocks else None
    original = Model(path.read_bytes())
    fusion_errors: dict[str, str] = {}
    placeholder_errors: dict[str, str] = {}
    while True:
        model, shifts, stacks, placeholders = without_temporal_ops(path, fusion_errors, placeholder_errors)
        optimized = _optimize(model, path.parent, folder, library, threads, in_blocks)
        try:
            swap(optimized, shifts, block, original)
            swap_stacks(optimized, folder, stacks, block)
            replace_placeholders(optimized, folder, placeholders, block)
            break
        except FusionError as error:
            fusion_errors[error.shift] = str(error)
        except PlaceholderError as error:
            placeholder_errors[error.op] = str(error)
    stay_in_blocks(optimized, block)
    excite_in_blocks(optimized, original, block)
    swap_depthwise(optimized, block)
    direct = bytes(optimized)
    winograd_convs = swap_winograd(
        optimized, folder, block, lambda *arguments: _shapes_when_run(*arguments, folder, library, threads)
    )
    # Winograd's transforms round more: a network that exceeds the tolerance keeps direct convolutions.
    for content in (bytes(optimized), direct) if winograd_convs else (direct,):
        (folder / MODEL).write_bytes(content)
        distance = _difference(path, folder / MODEL, library, threads)
        if distance <= TOLERANCE:
            break
    else:
        for file in folder.iterdir():
            file.unlink()
        reason = f"with kernels the result differs by {distance:.1e}, so they are not used: please report it"
        log.warning(reason)
        return {"reason": reason, "ops": []}
    kernels, errors, rows = coverage.kernels_of(optimized), {**placeholder_errors, **fusion_errors}, []
    for op in coverage.temporal_ops(original):
        kernel = kernels.get(op.name)
        reason = errors.get(op.name) or ("" if kernel else coverage.NO_KERNEL)
        rows.append(coverage.coverage_of(original, op, kernel, reason))
    return {"reason": "", "ops": [vars(row) for row in rows]}


def without_temporal_ops(
    path: Path, fusion_errors: dict[str, str], placeholder_errors: dict[str, str]
) -> tuple[Model, list[BypassedShift], list[StackedConv], list[Placeholder]]:
    """Return the model without shifts and frame stacks, with placeholders for its temporal convolutions.

    ``fusion_errors`` and ``placeholder_errors`` map the name of an op to the reason why no convolution takes
    it, or why it gets no placeholder; the ops that are refused here are added.
    """
    model = Model(path.read_bytes())
    shifts, mark = [], FIRST_MARK
    for shift in shifts_of(model):
        result = fusion_errors.get(shift.name) or bypass(model, shift, mark)
        if isinstance(result, str):
            fusion_errors[shift.name] = result
        else:
            shifts.append(result)
            mark += len(result.marks)
    stacks = bypass_stacks(model, path.parent, placeholder_errors)
    return model, shifts, stacks, insert_placeholders(model, path.parent, placeholder_errors)


def _optimize(
    model: Model, weights: Path, folder: Path, library: Path, threads: int, in_blocks: bool
) -> Model:
    """Have ONNX Runtime optimize ``model``, with weight files in ``weights``, and write it to ``folder``."""
    options = _options(threads)
    options.register_custom_ops_library(str(library))
    options.optimized_model_filepath = str(folder / MODEL)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
    # Some releases (1.20 to 1.24) keep reading unchanged weights from the original files, so these must be in
    # the folder of either model.
    for name in model.weight_files:
        _link(weights / name, folder / name)
    source = folder / "source.onnx"
    source.write_bytes(bytes(model))
    (_session if in_blocks else _session_without_blocks)(str(source), options)
    source.unlink()
    optimized = Model((folder / MODEL).read_bytes())
    for name in set(model.weight_files) - set(optimized.weight_files):
        (folder / name).unlink()
    return optimized


def _shapes_when_run(
    model: Model, names: Collection[str], folder: Path, library: Path, threads: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of values inside an optimized ``model``, which has no shape information: it is run once."""
    outputs = model.outputs
    model.outputs = {name: float_value(name, None) for name in names}
    source = folder / "shapes.onnx"
    source.write_bytes(bytes(model))
    model.outputs = outputs
    options = _options(threads)
    load_as_optimized(options, library)
    arrays = _run_on_noise(source, options)
    source.unlink()
    return {name: array.shape for name, array in arrays.items()}


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def load_as_optimized(options, library: Path) -> None:
    import onnxruntime

    options.register_custom_ops_library(str(library))
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def _difference(path: Path, model: Path, library: Path, threads: int) -> float:
    """The largest relative error of all outputs, states included, against the unmodified network on noise."""
    expected = _run_unmodified(path, library, threads)
    options = _options(threads)
    load_as_optimized(options, library)
    return compare(_run_on_noise(model, options), expected, TOLERANCE).max_rel


def _run_unmodified(path: Path, library: Path, threads: int) -> dict[str, np.ndarray]:
    try:
        return _run_on_noise(path, _options(threads))
    except Exception:  # ONNX Runtime's exceptions have no common base
        # Some releases reject the function bodies of temporal ops in the file; the library's ops, unfused and
        # separately tested, compute the same.
        options = _options(threads)
        options.register_custom_ops_library(str(library))
        return _run_on_noise(path, options)


def _run_on_noise(path: Path, options) -> dict[str, np.ndarray]:
    session = _session(str(path), options)
    random = np.random.default_rng(0)
    inputs = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        inputs[value.name] = random.standard_normal(shape, dtype=np.float32)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


def _options(threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return options


def _session(model: str, options):
    import onnxruntime

    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def _session_without_blocks(model: str, options):
    import onnxruntime

    return onnxruntime.InferenceSession(
        model, options, ["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
    )

"""Open a bundle's ONNX model with this machine's kernels: ``specialize`` is the entry point.

ONNX Runtime optimizes the network without its temporal ops; then they are swapped in (``fuse_shift``,
``placeholder``), the result is compared with the unmodified network and cached (``cache``).
"""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
from edgevid.backends.onnxruntime.specialize.runtime import MODEL, TOLERANCE, Runtime, load_as_optimized
from edgevid.backends.onnxruntime.specialize.winograd import swap_winograd
from edgevid.backends.protocol import OpCoverage
from edgevid.errors import BackendError, first_line
from edgevid.onnxfile.external_files import external_files
from edgevid.onnxfile.graph import Model

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
    from edgevid.kernels.common import build

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
            entry = cache.store(lambda folder: write_specialized(path, folder, Runtime(library, threads)))
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

    Where ONNX Runtime has no blocked layout, as on arm64, ``specialize`` gives the same. Returns the record
    of ``write_specialized``.
    """
    return write_specialized(path, folder, Runtime(library, threads, in_blocks=False))


def write_specialized(path: Path, folder: Path, runtime: Runtime) -> dict:
    """Write the model at ``path`` with kernels inside to ``folder / MODEL``; returns a record.

    ``reason`` says why nothing was written, ``ops`` holds an ``OpCoverage`` as a dict for each temporal op.
    """
    block = block_size() if runtime.in_blocks else None
    original = Model(path.read_bytes())
    optimized, errors = _optimize_and_swap(path, original, folder, runtime, block)
    stay_in_blocks(optimized, block)
    excite_in_blocks(optimized, original, block)
    swap_depthwise(optimized, block)
    direct = bytes(optimized)
    winograd_convs = swap_winograd(optimized, folder, block, lambda *values: runtime.shapes(*values, folder))
    # Winograd's transforms round more: a network that exceeds the tolerance keeps direct convolutions.
    candidates = (bytes(optimized), direct) if winograd_convs else (direct,)
    if reason := _write_first_equal(candidates, path, folder, runtime):
        return {"reason": reason, "ops": []}
    return {"reason": "", "ops": _coverage(original, optimized, errors)}


def _optimize_and_swap(
    path: Path, original: Model, folder: Path, runtime: Runtime, block: int | None
) -> tuple[Model, dict[str, str]]:
    """The optimized model with kernels, and by op name why some ops have none.

    An op that cannot be swapped in after the optimization stays as it is at the next attempt.
    """
    fusion_errors: dict[str, str] = {}
    placeholder_errors: dict[str, str] = {}
    while True:
        model, shifts, stacks, placeholders = without_temporal_ops(path, fusion_errors, placeholder_errors)
        optimized = runtime.optimize(model, path.parent, folder)
        try:
            swap(optimized, shifts, block, original)
            swap_stacks(optimized, folder, stacks, block)
            replace_placeholders(optimized, folder, placeholders, block)
            return optimized, {**placeholder_errors, **fusion_errors}
        except FusionError as error:
            fusion_errors[error.shift] = str(error)
        except PlaceholderError as error:
            placeholder_errors[error.op] = str(error)


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


def _write_first_equal(candidates: tuple[bytes, ...], path: Path, folder: Path, runtime: Runtime) -> str:
    """Write the first that computes what the model at ``path`` does; returns why there is none, or ""."""
    for content in candidates:
        (folder / MODEL).write_bytes(content)
        distance = runtime.difference(path, folder / MODEL)
        if distance <= TOLERANCE:
            return ""
    for file in folder.iterdir():
        file.unlink()
    reason = f"with kernels the result differs by {distance:.1e}, so they are not used: please report it"
    log.warning(reason)
    return reason


def _coverage(original: Model, optimized: Model, errors: Mapping[str, str]) -> list[dict]:
    kernels, rows = coverage.kernels_of(optimized), []
    for op in coverage.temporal_ops(original):
        kernel = kernels.get(op.name)
        reason = errors.get(op.name) or ("" if kernel else coverage.NO_KERNEL)
        rows.append(vars(coverage.coverage_of(original, op, kernel, reason)))
    return rows

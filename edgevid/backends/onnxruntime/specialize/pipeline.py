"""Open a bundle's ONNX model with the kernels of this machine: ``specialise`` is the one thing to call.

The network is optimised as if it had no temporal ops, these are swapped in (``fuse_shift``, ``placeholder``),
the result is compared with the unmodified network, and kept in a cache (``cache``).
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
from edgevid.backends.onnxruntime.specialize.fuse_frame_stack import Stacked, bypass_stacks, swap_stacks
from edgevid.backends.onnxruntime.specialize.fuse_shift import (
    FIRST_MARK,
    Bypassed,
    Refusal,
    bypass,
    shifts_of,
    swap,
)
from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.placeholder import (
    NoStandIn,
    StandIn,
    put_stand_ins,
    swap_stand_ins,
)
from edgevid.backends.onnxruntime.specialize.winograd import swap_winograd
from edgevid.backends.protocol import OpReceipt
from edgevid.errors import BackendError, first_line
from edgevid.onnxfile.external_files import external_files
from edgevid.onnxfile.graph import Model, float_value
from edgevid.parity import compare

MODEL, WEIGHTS = "optimised.onnx", "optimised.weights"
TOLERANCE = 1e-5
log = logging.getLogger("edgevid")


@dataclass(frozen=True)
class Specialised:
    """A model file, and how the options of the session that opens it must be set."""

    path: Path
    configure: Callable[[object], None]
    receipt: tuple[OpReceipt, ...]


APART = "import sys; from edgevid.backends.onnxruntime.specialize.pipeline import main; main(*sys.argv[1:])"


def specialise(
    path: Path,
    cache_folder: Path | None,
    threads: int,
    apart: bool = False,
    digests: Mapping[str, str] | None = None,
) -> Specialised:
    """The model at ``path`` (weights beside it) for this processor and this ONNX Runtime.

    Never fails for want of a compiler, of room in ``cache_folder`` or of a kernel: the network then runs as
    it is, and the receipt says why. Raises ``BackendError`` for an ``EDGEVID_ISA`` that this machine lacks.
    ``apart`` fills the cache in a process of its own, whose memory, several times the weights, goes with it.
    ``digests`` are the SHA-256 of the model's files by name, as far as they are known.
    """
    from edgevid.kernels import build

    library = build.library_or_reason()
    model, beside = _read(path)
    if isinstance(library, str):
        return _as_it_is(path, model, library)
    isa = isa_of(library)
    files = [path, *(path.parent / name for name in beside)]
    cache = Cache(cache_folder, files, (library.stem, isa), digests)
    found = cache.load()
    if found is None and apart and cache_folder is not None and sys.executable:
        arguments = (str(path.absolute()), str(cache_folder.absolute()), str(threads))
        subprocess.run([sys.executable, "-c", APART, *arguments], capture_output=True)
        found = cache.load()
    if found is None:
        try:
            found = cache.store(lambda folder: _make(path, folder, library, threads))
        except Exception as error:  # ONNX Runtime raises kinds of its own, without a common base
            reason = f"the kernels could not be put in: {first_line(error)}"
            log.warning(reason)
            return _as_it_is(path, model, reason)
    folder, receipt = found
    if not (folder / MODEL).is_file():
        return _as_it_is(path, model, receipt["reason"])
    return Specialised(
        folder / MODEL,
        lambda options: load_as_optimised(options, library),
        tuple(OpReceipt(**item) for item in receipt["ops"]),
    )


def _read(path: Path) -> tuple[Model, list[str]]:
    """The model at ``path``, and the names of the files that hold its weights."""
    data = path.read_bytes()
    try:
        return Model(data), sorted(external_files(memoryview(data)))
    except Exception as error:  # a file that a stranger made can be wrong in any way
        raise BackendError(f"'{path}' is no ONNX model ({error}): export again") from error


def main(path: str, cache_folder: str, threads: str) -> None:
    """What ``apart`` runs."""
    specialise(Path(path), Path(cache_folder), int(threads))


def isa_of(library: Path) -> str:
    """The instruction set that the library would use now."""
    message = ctypes.create_string_buffer(300)
    function = ctypes.CDLL(str(library)).edgevid_isa
    function.restype = ctypes.c_char_p
    name = function(message, len(message))
    if name is None:
        raise BackendError(message.value.decode())
    return name.decode()


def _as_it_is(path: Path, model: Model, reason: str) -> Specialised:
    receipt = tuple(coverage.receipt_of(model, op, None, reason) for op in coverage.temporal_ops(model))
    return Specialised(path, lambda options: None, receipt)


def write_plain(path: Path, folder: Path, library: Path, threads: int) -> dict:
    """The model at ``path`` with kernels in plain layout, for any processor, as ``MODEL`` in ``folder``.

    That is what it becomes where ONNX Runtime has no blocked layout, as on arm64. Returns the receipt:
    ``reason`` says why nothing was written, ``ops`` holds an ``OpReceipt`` as a dict for each temporal op.
    """
    return _make(path, folder, library, threads, in_blocks=False)


def _make(path: Path, folder: Path, library: Path, threads: int, in_blocks: bool = True) -> dict:
    """Write the swapped model into ``folder``; the receipt says what was done, or why nothing was written."""
    block = block_size() if in_blocks else None
    original = Model(path.read_bytes())
    unfused: dict[str, str] = {}
    alone: dict[str, str] = {}
    while True:
        model, bypassed, stacked, stand_ins = without_temporal_ops(path, unfused, alone)
        optimised = _optimise(model, path.parent, folder, library, threads, in_blocks)
        try:
            swap(optimised, bypassed, block, original)
            swap_stacks(optimised, folder, stacked, block)
            swap_stand_ins(optimised, folder, stand_ins, block)
            break
        except Refusal as refusal:
            unfused[refusal.shift] = str(refusal)
        except NoStandIn as refusal:
            alone[refusal.op] = str(refusal)
    stay_in_blocks(optimised, block)
    excite_in_blocks(optimised, original, block)
    swap_depthwise(optimised, block)
    direct = bytes(optimised)
    swapped = swap_winograd(
        optimised, folder, block, lambda *asked: _shapes_when_run(*asked, folder, library, threads)
    )
    # Fewer products round more: a network that this does not suit keeps its direct convolutions.
    for content in (bytes(optimised), direct) if swapped else (direct,):
        (folder / MODEL).write_bytes(content)
        error = _difference(path, folder / MODEL, library, threads)
        if error <= TOLERANCE:
            break
    else:
        for file in folder.iterdir():
            file.unlink()
        reason = f"with the kernels the result differs by {error:.1e}, so they are not used: please report it"
        log.warning(reason)
        return {"reason": reason, "ops": []}
    kernels, rows = coverage.kernels_of(optimised), []
    for op in coverage.temporal_ops(original):
        kernel = kernels.get(op.name)
        reason = unfused.get(op.name) or alone.get(op.name) or ("" if kernel else coverage.NO_KERNEL)
        rows.append(coverage.receipt_of(original, op, kernel, reason))
    return {"reason": "", "ops": [vars(row) for row in rows]}


def without_temporal_ops(
    path: Path, unfused: dict[str, str], alone: dict[str, str]
) -> tuple[Model, list[Bypassed], list[Stacked], list[StandIn]]:
    """The model without its shifts and stacks, and with stand-ins for its convolutions over time.

    ``unfused`` and ``alone`` say why an op, by its name, is not to be taken by a convolution, or to have no
    stand-in; what this finds is added to them.
    """
    model = Model(path.read_bytes())
    bypassed, mark = [], FIRST_MARK
    for shift in shifts_of(model):
        result = unfused.get(shift.name) or bypass(model, shift, mark)
        if isinstance(result, str):
            unfused[shift.name] = result
        else:
            bypassed.append(result)
            mark += len(result.marks)
    stacked = bypass_stacks(model, path.parent, alone)
    return model, bypassed, stacked, put_stand_ins(model, path.parent, alone)


def _optimise(
    model: Model, weights: Path, folder: Path, library: Path, threads: int, in_blocks: bool
) -> Model:
    """``model``, its weight files in ``weights``, as ONNX Runtime optimises it; the result in ``folder``."""
    options = _options(threads)
    options.register_custom_ops_library(str(library))
    options.optimized_model_filepath = str(folder / MODEL)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
    # Some releases (1.20 to 1.24) go on reading what they did not change from the original files, which must
    # therefore stand beside both models.
    for name in model.weight_files:
        _link(weights / name, folder / name)
    source = folder / "source.onnx"
    source.write_bytes(bytes(model))
    (_session if in_blocks else _session_without_blocks)(str(source), options)
    source.unlink()
    optimised = Model((folder / MODEL).read_bytes())
    for name in set(model.weight_files) - set(optimised.weight_files):
        (folder / name).unlink()
    return optimised


def _shapes_when_run(
    model: Model, names: Collection[str], folder: Path, library: Path, threads: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of some values inside an optimised ``model``, which does not tell them itself."""
    outputs = model.outputs
    model.outputs = {name: float_value(name, None) for name in names}
    source = folder / "shapes.onnx"
    source.write_bytes(bytes(model))
    model.outputs = outputs
    options = _options(threads)
    load_as_optimised(options, library)
    arrays = _run_on_noise(source, options)
    source.unlink()
    return {name: array.shape for name, array in arrays.items()}


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def load_as_optimised(options, library: Path) -> None:
    import onnxruntime

    options.register_custom_ops_library(str(library))
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def _difference(path: Path, swapped: Path, library: Path, threads: int) -> float:
    """The relative distance of all outputs, states included, from the unmodified network's on noise."""
    expected = _run_unmodified(path, library, threads)
    options = _options(threads)
    load_as_optimised(options, library)
    return compare(_run_on_noise(swapped, options), expected, TOLERANCE).max_rel


def _run_unmodified(path: Path, library: Path, threads: int) -> dict[str, np.ndarray]:
    try:
        return _run_on_noise(path, _options(threads))
    except Exception:  # ONNX Runtime raises kinds of its own, without a common base
        # Some releases refuse the functions that a file carries for its temporal ops; the library's ops by
        # themselves, which have tests of their own, compute the same.
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

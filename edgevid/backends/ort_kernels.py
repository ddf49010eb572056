"""Open a bundle's ONNX model with the kernels of this machine: ``specialise`` is the one thing to call.

The network is optimised as if it had no temporal shifts, the shifts are swapped in (``ort_swap``), the result
is compared with the unmodified network, and kept in a cache (``ort_cache``).
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from edgevid.backends.ort_block import block_size
from edgevid.backends.ort_cache import Cache
from edgevid.backends.ort_graph import Model, Node, float_value
from edgevid.backends.ort_swap import FIRST_MARK, STEP, Bypassed, Refusal, bypass, shifts_of, swap
from edgevid.backends.ort_winograd import swap_winograd
from edgevid.errors import BackendError

MODEL, WEIGHTS = "optimised.onnx", "optimised.weights"
TOLERANCE = 1e-5
log = logging.getLogger("edgevid")


@dataclass(frozen=True)
class OpReceipt:
    """What became of one temporal op: the kernel that took it, or why none did.

    The bytes are those of a call: before, each element of the shifted tensor read and written once by itself;
    after, what is still moved. None where the shape is not known before the network runs.
    """

    name: str
    op_type: str
    kernel: str | None
    reason: str
    flops: int
    bytes_before: int | None
    bytes_after: int | None


@dataclass(frozen=True)
class Specialised:
    """A model file, and how the options of the session that opens it must be set."""

    path: Path
    configure: Callable[[object], None]
    receipt: tuple[OpReceipt, ...]


APART = "import sys; from edgevid.backends.ort_kernels import main; main(*sys.argv[1:])"


def specialise(path: Path, cache_folder: Path | None, threads: int, apart: bool = False) -> Specialised:
    """The model at ``path`` (weights beside it) for this processor and this ONNX Runtime.

    Never fails for want of a compiler, of room in ``cache_folder`` or of a kernel: the network then runs as
    it is, and the receipt says why. Raises ``BackendError`` for an ``EDGEVID_ISA`` that this machine lacks.
    ``apart`` fills the cache in a process of its own, whose memory, several times the weights, goes with it.
    """
    from edgevid.kernels import build

    library = build.library()
    model = Model(path.read_bytes())
    if library is None:
        return _as_it_is(path, model, "the kernels could not be built: install g++ or set CXX")
    isa = isa_of(library)
    if not shifts_of(model):
        return _as_it_is(path, model, "")
    files = [path, *(path.parent / name for name in model.weight_files)]
    cache = Cache(cache_folder, files, (library.stem, isa))
    found = cache.load()
    if found is None and apart and cache_folder is not None and sys.executable:
        arguments = (str(path.absolute()), str(cache_folder.absolute()), str(threads))
        subprocess.run([sys.executable, "-c", APART, *arguments], capture_output=True)
        found = cache.load()
    if found is None:
        try:
            found = cache.store(lambda folder: _make(path, folder, library, threads))
        except Exception as error:  # ONNX Runtime raises kinds of its own, without a common base
            reason = f"the kernels could not be put in ({str(error).splitlines()[0]}): please report it"
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
    receipt = tuple(_receipt(model, shift, None, reason) for shift in shifts_of(model))
    return Specialised(path, lambda options: None, receipt)


def _make(path: Path, folder: Path, library: Path, threads: int) -> dict:
    """Write the swapped model into ``folder``; the receipt says what was done, or why nothing was written."""
    original = Model(path.read_bytes())
    refused: dict[str, str] = {}
    while True:
        model, bypassed, reasons = without_shifts(path, refused)
        refused |= reasons
        optimised = _optimise(model, path.parent, folder, library, threads)
        try:
            kernels = swap(optimised, bypassed, block_size(), original)
            break
        except Refusal as refusal:
            refused[refusal.shift] = str(refusal)
    swap_winograd(
        optimised, folder, block_size(), lambda *asked: _shapes_when_run(*asked, folder, library, threads)
    )
    (folder / MODEL).write_bytes(bytes(optimised))
    error = _difference(path, folder / MODEL, library, threads)
    if not error <= TOLERANCE:
        for file in folder.iterdir():
            file.unlink()
        reason = f"with the kernels the result differs by {error:.1e}, so they are not used: please report it"
        log.warning(reason)
        return {"reason": reason, "ops": []}
    rows = [
        _receipt(original, shift, kernels.get(shift.name, shift.op_type), refused.get(shift.name, ""))
        for shift in shifts_of(original)
    ]
    return {"reason": "", "ops": [vars(row) for row in rows]}


def without_shifts(path: Path, refused: dict[str, str]) -> tuple[Model, list[Bypassed], dict[str, str]]:
    model = Model(path.read_bytes())
    bypassed, reasons, mark = [], {}, FIRST_MARK
    for shift in shifts_of(model):
        if shift.name in refused:
            continue
        result = bypass(model, shift, mark)
        if isinstance(result, str):
            reasons[shift.name] = result
        else:
            bypassed.append(result)
            mark += len(result.marks)
    return model, bypassed, reasons


def _optimise(model: Model, weights: Path, folder: Path, library: Path, threads: int) -> Model:
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
    _session(str(source), options)
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
    return dict(zip(names, (array.shape for array in arrays)))


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
    """The largest difference of any output from the unmodified network's, relative to its largest value."""
    expected = _run_unmodified(path, library, threads)
    options = _options(threads)
    load_as_optimised(options, library)
    got = _run_on_noise(swapped, options)
    return max(
        float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), np.finfo(np.float32).tiny))
        for a, b in zip(got, expected)
    )


def _run_unmodified(path: Path, library: Path, threads: int) -> list[np.ndarray]:
    try:
        return _run_on_noise(path, _options(threads))
    except Exception:  # ONNX Runtime raises kinds of its own, without a common base
        # Some releases refuse the functions that a file carries for its temporal ops; the ops by themselves,
        # which only copy, stand in for them.
        options = _options(threads)
        options.register_custom_ops_library(str(library))
        return _run_on_noise(path, options)


def _run_on_noise(path: Path, options) -> list[np.ndarray]:
    session = _session(str(path), options)
    random = np.random.default_rng(0)
    inputs = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        inputs[value.name] = random.standard_normal(shape, dtype=np.float32)
    return session.run(None, inputs)


def _options(threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return options


def _session(model: str, options):
    import onnxruntime

    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def _receipt(model: Model, shift: Node, kernel: str | None, reason: str) -> OpReceipt:
    shape = model.shapes.get(shift.inputs[0])
    state = model.shapes.get(shift.inputs[1]) if shift.kind == STEP else ()
    before = after = None
    if shape is not None and state is not None:
        before = 4 * (2 * prod(shape) + (2 * prod(state) if state else 0))
        fused = kernel is not None and kernel.startswith("ShiftConv")
        # A fused step still keeps its state for the next frame.
        after = before if not fused else 4 * 2 * prod(state) if state else 0
    return OpReceipt(shift.name, shift.op_type, kernel, reason, 0, before, after)

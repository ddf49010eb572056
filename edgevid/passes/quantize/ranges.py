"""What ``quantise`` is told, and how well it did: the float graph is run in ONNX Runtime and looked into.

The ranges are measured here: ONNX Runtime's calibrators keep each tensor of each clip in memory, do not feed
the states of a stream back, and widen a histogram by ever more bins after a clip that hardly moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.specs import StateSpec

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

OUTLIERS = 1e-5
"""The share of a tensor's numbers that a range leaves out, half of it on either side."""

CHUNK_BYTES = 512 * 2**20
"""Tensors that are looked at in one run: a long clip has some GB of them."""

Ranges = dict[str, tuple[float, float]]


def measure_ranges(graph: ir.Model, clips: Sequence[np.ndarray], states: Sequence[StateSpec] = ()) -> Ranges:
    """Run the float32 ``graph`` in ONNX Runtime; the range of each float tensor over all clips.

    ``clips`` are for its first input; a network that takes frames gets them one by one, with its ``states``.
    A range holds all but ``OUTLIERS`` of the tensor's numbers in each clip or frame.
    """
    import onnx_ir as ir

    proto, ranges = ir.to_proto(graph), {}
    values = [value for node in graph.graph for value in node.outputs if _has_a_range(value)]
    for chunk in _chunks(values):
        session = _with_outputs(proto, chunk, states)
        for clip in clips:
            for arrays in _runs(session, clip, states):
                for name, array in arrays.items():
                    low, high = without_outliers(array)
                    known = ranges.get(name, (low, high))
                    ranges[name] = min(known[0], low), max(known[1], high)
    return ranges


def _has_a_range(value: ir.Value) -> bool:
    """Whether it holds floats: what an operator need not give, as most results of an LSTM, has no name."""
    import onnx_ir as ir

    if not value.name or value.dtype != ir.DataType.FLOAT or value.shape is None:
        return False
    return value.shape.is_static() and 0 not in value.shape.numpy()


def without_outliers(array: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest number, ``OUTLIERS`` / 2 of all numbers at either end left out."""
    flat = np.ravel(array)
    beyond = int(flat.size * OUTLIERS / 2)
    if not beyond:
        return float(flat.min()), float(flat.max())
    ordered = np.partition(flat, (beyond, flat.size - 1 - beyond))
    return float(ordered[beyond]), float(ordered[-1 - beyond])


def local_errors(
    float_model: onnx.ModelProto,
    quantised: onnx.ModelProto,
    clips: Sequence[np.ndarray],
    states: Sequence[StateSpec] = (),
) -> dict[str, float]:
    """Of each product, by the name of its result, how far int8 is from float32 when its input is exact.

    That is ||a-b|| / ||b|| over all clips, infinite if any value is not finite; see ``quantise_check``.
    """
    from edgevid.passes.quantize.check import beside_float

    both, products = beside_float(float_model, quantised)
    kept = {state.output for state in states}
    both.graph.output.extend(value for value in float_model.graph.output if value.name in kept)
    session = _session(both)
    sums = {name: np.zeros(2) for name in products}
    for clip in clips:
        for arrays in _runs(session, clip, states):
            for name in products:
                sums[name] += float(arrays[f"{name}/error"]), float(arrays[f"{name}/float"])
    tiny = np.finfo(np.float32).tiny
    return {
        name: math.sqrt(error / max(norm, tiny)) if np.isfinite((error, norm)).all() else math.inf
        for name, (error, norm) in sums.items()
    }


def _chunks(values: Sequence[ir.Value]) -> Iterator[list[ir.Value]]:
    chunk, size = [], 0
    for value in values:
        bytes_ = 4 * math.prod(value.shape.numpy())
        if chunk and size + bytes_ > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(value)
        size += bytes_
    if chunk:
        yield chunk


def _with_outputs(proto: onnx.ModelProto, values: Sequence[ir.Value], states: Sequence[StateSpec]) -> Any:
    """A session that gives ``values`` and the next states."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(proto)
    wanted = {value.name: tuple(value.shape.numpy()) for value in values}
    wanted |= {state.output: tuple(state.shape) for state in states}
    del model.graph.output[:]
    for name, shape in wanted.items():
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    return _session(model)


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _runs(session: Any, clip: np.ndarray, states: Sequence[StateSpec]) -> Iterator[dict[str, np.ndarray]]:
    first = session.get_inputs()[0]
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(inputs))))

    return runs_of(run, first.name, len(first.shape), clip, states)


def runs_of(
    run: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]],
    name: str,
    rank: int,
    clip: np.ndarray,
    states: Sequence[StateSpec],
) -> Iterator[dict[str, np.ndarray]]:
    """Inputs and outputs by name: of the clip, or of each of its frames with the states before it.

    ``name`` and ``rank`` are of the first input, which takes the clip if it has as many axes.
    """
    if rank == clip.ndim:
        yield {name: clip, **run({name: clip})}
        return
    fed = {state.input: np.full(state.shape, state.initial, state.dtype) for state in states}
    for frame in np.moveaxis(clip, 1, 0):
        arrays = run({name: frame, **fed})
        yield {name: frame, **fed, **arrays}
        fed = {state.input: arrays[state.output] for state in states}

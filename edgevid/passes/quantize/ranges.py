"""Percentile calibration and the per-layer error of quantized graphs, both measured in ONNX Runtime.

ONNX Runtime's own calibrators keep each tensor of each clip in memory, do not feed the states of a stream
back, and add ever more histogram bins after a clip with little motion.
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

CLIPPED_SHARE = 1e-5
"""The share of a tensor's values outside its range, half on either side: the 99.999 % percentile."""

CHUNK_BYTES = 512 * 2**20
"""Size of the tensors read in one run: those of a long clip take gigabytes."""

Ranges = dict[str, tuple[float, float]]


def measure_ranges(graph: ir.Model, clips: Sequence[np.ndarray], states: Sequence[StateSpec] = ()) -> Ranges:
    """Run the float32 ``graph`` in ONNX Runtime; returns the range of each float tensor over all clips.

    The first input takes the clips; a streaming network gets their frames one by one, with its ``states``.
    In each clip or frame, a range covers all but ``CLIPPED_SHARE`` of a tensor's values.
    """
    import onnx_ir as ir

    proto, ranges = ir.to_proto(graph), {}
    values = [value for node in graph.graph for value in node.outputs if _has_a_range(value)]
    for chunk in _chunks(values):
        session = _with_outputs(proto, chunk, states)
        for clip in clips:
            for arrays in _runs(session, clip, states):
                for name, array in arrays.items():
                    low, high = percentile_range(array)
                    previous = ranges.get(name, (low, high))
                    ranges[name] = min(previous[0], low), max(previous[1], high)
    return ranges


def _has_a_range(value: ir.Value) -> bool:
    """Whether it holds floats; an omitted optional output, such as most of an LSTM's, has no name."""
    import onnx_ir as ir

    if not value.name or value.dtype != ir.DataType.FLOAT or value.shape is None:
        return False
    return value.shape.is_static() and 0 not in value.shape.numpy()


def percentile_range(array: np.ndarray) -> tuple[float, float]:
    """The range of ``array`` without the ``CLIPPED_SHARE / 2`` smallest and largest of its values."""
    flat = np.ravel(array)
    clipped = int(flat.size * CLIPPED_SHARE / 2)
    if not clipped:
        return float(flat.min()), float(flat.max())
    ordered = np.partition(flat, (clipped, flat.size - 1 - clipped))
    return float(ordered[clipped]), float(ordered[-1 - clipped])


def layer_errors(
    float_model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    clips: Sequence[np.ndarray],
    states: Sequence[StateSpec] = (),
) -> dict[str, float]:
    """The error of each int8 layer with exact inputs, by the name of its output (see ``check``).

    The error is ||a-b|| / ||b|| over all clips, infinite if any value is not finite.
    """
    from edgevid.passes.quantize.check import comparison_model

    both, layers = comparison_model(float_model, quantized)
    next_states = {state.output for state in states}
    both.graph.output.extend(value for value in float_model.graph.output if value.name in next_states)
    session = _session(both)
    sums = {name: np.zeros(2) for name in layers}
    for clip in clips:
        for arrays in _runs(session, clip, states):
            for name in layers:
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
    """A session whose outputs are ``values`` and the next states."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(proto)
    outputs = {value.name: tuple(value.shape.numpy()) for value in values}
    outputs |= {state.output: tuple(state.shape) for state in states}
    del model.graph.output[:]
    for name, shape in outputs.items():
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
    """Yield inputs and outputs by name: of the clip, or of each of its frames with the states before it.

    ``name`` and ``rank`` are of the first input, which takes whole clips if its rank is that of ``clip``.
    """
    if rank == clip.ndim:
        yield {name: clip, **run({name: clip})}
        return
    state_feeds = {state.input: np.full(state.shape, state.initial, state.dtype) for state in states}
    for frame in np.moveaxis(clip, 1, 0):
        arrays = run({name: frame, **state_feeds})
        yield {name: frame, **state_feeds, **arrays}
        state_feeds = {state.input: arrays[state.output] for state in states}

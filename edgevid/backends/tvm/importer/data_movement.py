"""Converters of the operators that only move data, to TVM's Relax."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from edgevid.backends.tvm.importer.groups import attribute
from edgevid.backends.tvm.importer.importer import TO_LAST, Importer, UnsupportedNodeError, constant, shape_of

if TYPE_CHECKING:
    import onnx_ir as ir


def _reshape(importer: Importer, node: ir.Node) -> None:
    """Also ``Unsqueeze``, ``Squeeze`` and ``Flatten``, by the shape of the result."""
    from tvm import relax

    x, y = node.inputs[0], node.outputs[0]
    before, after = shape_of(x), shape_of(y)
    if importer.is_last(x) and (*before[1:2], 1, 1) == before[1:]:
        # A single pixel's channels have the same order in both layouts.
        importer.set(y, relax.op.reshape(importer.last(x), after))
    else:
        importer.set(y, relax.op.reshape(importer.first(x), after))


def _identity(importer: Importer, node: ir.Node) -> None:
    x = node.inputs[0]
    last = importer.is_last(x)
    importer.set(node.outputs[0], importer.last(x) if last else importer.first(x), last)


def _transpose(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    x = node.inputs[0]
    order = attribute(node.attributes, "perm", tuple(reversed(range(len(shape_of(x))))))
    importer.set(node.outputs[0], relax.op.permute_dims(importer.first(x), list(order)))


def _concat(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    values = node.inputs
    axis = attribute(node.attributes, "axis", 0) % len(shape_of(values[0]))
    last = any(importer.is_last(value) for value in values)
    operands = [importer.last(value) if last else importer.first(value) for value in values]
    importer.set(node.outputs[0], relax.op.concat(operands, _axis(axis, last)), last)


def _slice(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    x = node.inputs[0]
    shape, last = shape_of(x), importer.is_last(x)
    starts, ends = constant(node.inputs[1]), constant(node.inputs[2])
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 else np.arange(len(starts))
    steps = constant(node.inputs[4]) if len(node.inputs) > 4 else np.ones(len(starts), np.int64)
    spans = [
        slice(int(s), int(e), int(d)).indices(shape[int(a)]) for s, e, d, a in zip(starts, ends, steps, axes)
    ]
    axes = [_axis(int(axis) % len(shape), last) for axis in axes]
    value = importer.last(x) if last else importer.first(x)
    if min(steps) < 1:
        for axis, span in zip(axes, spans):
            indices = relax.const(np.arange(*span, dtype=np.int64))
            value = importer.emit(relax.op.take(value, indices, axis, mode="clip"))
        importer.set(node.outputs[0], value, last)
        return
    result = relax.op.strided_slice(
        value, axes, [span[0] for span in spans], [span[1] for span in spans], [span[2] for span in spans]
    )
    importer.set(node.outputs[0], result, last)


def _split(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    x = node.inputs[0]
    last = importer.is_last(x)
    axis = attribute(node.attributes, "axis", 0) % len(shape_of(x))
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        sizes = [int(size) for size in constant(node.inputs[1])]
    else:
        extent = shape_of(x)[axis]
        max_size = -(-extent // len(node.outputs))
        sizes = [min(max_size, extent - max_size * index) for index in range(len(node.outputs))]
    start = 0
    for value, size in zip(node.outputs, sizes):
        part = relax.op.strided_slice(
            importer.last(x) if last else importer.first(x), [_axis(axis, last)], [start], [start + size]
        )
        importer.set(value, part, last)
        start += size


def _gather(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    x = node.inputs[0]
    axis = attribute(node.attributes, "axis", 0) % len(shape_of(x))
    indices = constant(node.inputs[1])
    last = importer.is_last(x) and indices.ndim == 1
    value = importer.last(x) if last else importer.first(x)
    axis = _axis(axis, last)
    indices = np.where(indices < 0, indices + shape_of(x)[axis if not last else TO_LAST[axis]], indices)
    importer.set(
        node.outputs[0], relax.op.take(value, relax.const(indices.astype(np.int64)), axis, mode="clip"), last
    )


def _gather_nd(importer: Importer, node: ir.Node) -> None:
    """Rows at constant indices, such as a table of relative positions: the indexed axes are flattened."""
    from tvm import relax

    x, y = node.inputs[0], node.outputs[0]
    if attribute(node.attributes, "batch_dims", 0):
        raise UnsupportedNodeError("it has batch_dims")
    indices = constant(node.inputs[1])
    indexed_shape, rest = shape_of(x)[: indices.shape[-1]], shape_of(x)[indices.shape[-1] :]
    indices = np.where(indices < 0, indices + np.array(indexed_shape), indices)
    rows = np.ravel_multi_index(tuple(np.moveaxis(indices, -1, 0)), indexed_shape)
    table = relax.op.reshape(importer.first(x), (int(np.prod(indexed_shape)), *rest))
    importer.set(y, relax.op.take(table, relax.const(rows.astype(np.int64)), 0, mode="clip"))


def _pad(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    x = node.inputs[0]
    rank, last = len(shape_of(x)), importer.is_last(x)
    if attribute(node.attributes, "mode", "constant") != "constant":
        raise UnsupportedNodeError("its mode is not constant")
    pads = [int(extent) for extent in constant(node.inputs[1])]
    axes = [int(axis) % rank for axis in constant(node.inputs[3])] if len(node.inputs) > 3 else range(rank)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    fill = 0.0 if value is None else float(constant(value))
    widths = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        position = _axis(axis, last)
        widths[2 * position], widths[2 * position + 1] = pads[index], pads[len(pads) // 2 + index]
    operand = importer.last(x) if last else importer.first(x)
    importer.set(node.outputs[0], relax.op.nn.pad(operand, widths, "constant", fill), last)


def _expand(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    y = node.outputs[0]
    importer.set(y, relax.op.broadcast_to(importer.first(node.inputs[0]), shape_of(y)))


def _resize(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    x, y, attributes = node.inputs[0], node.outputs[0], node.attributes
    mode = attribute(attributes, "mode", "nearest")
    if mode not in ("nearest", "linear") or len(shape_of(x)) != 4 or shape_of(x)[:2] != shape_of(y)[:2]:
        raise UnsupportedNodeError(mode)
    last = importer.is_last(x)
    result = relax.op.image.resize2d(
        importer.last(x) if last else importer.first(x),
        shape_of(y)[2:],
        layout="NHWC" if last else "NCHW",
        method="nearest_neighbor" if mode == "nearest" else "linear",
        coordinate_transformation_mode=attribute(attributes, "coordinate_transformation_mode", "half_pixel"),
        rounding_method=attribute(attributes, "nearest_mode", "round_prefer_floor"),
    )
    importer.set(y, result, last)


def _axis(axis: int, last: bool) -> int:
    """The position of a graph's axis in a tensor whose channels may be last."""
    return TO_LAST.index(axis) if last else axis


DATA_MOVEMENT: dict[str, Callable[[Importer, ir.Node], None]] = {
    "Reshape": _reshape,
    "Unsqueeze": _reshape,
    "Squeeze": _reshape,
    "Flatten": _reshape,
    "Identity": _identity,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Pad": _pad,
    "Expand": _expand,
    "Resize": _resize,
}

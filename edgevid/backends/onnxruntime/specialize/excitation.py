"""Means and gates in blocks: no re-ordering stands around the excitations of features.

ReduceMean(ReorderOutput(x))                          -> ChannelMean(x), ImageMean(x)
ReorderInput(Mul(ReorderOutput(x), c))                -> Gate(x, c)
ReorderInput(Mul(ReorderOutput(x), Add(c, p)))        -> Gate(x, c, p)

``c`` is a gate for each channel, ``p`` one for each pixel.
"""

from __future__ import annotations

from edgevid.backends.onnxruntime.specialize.drop_reorders import FROM_BLOCKS, TO_BLOCKS
from edgevid.onnxfile.graph import Model, Node

Shape = tuple[int, ...]


def excite_in_blocks(model: Model, original: Model, block: int | None) -> int:
    """Change the optimised ``model``, whose shapes ``original`` knows; returns how many ops are new."""
    count = 0
    for reorder in [node for node in model.nodes if node.kind == FROM_BLOCKS]:
        value, shape = reorder.outputs[0], original.shapes.get(reorder.outputs[0])
        if shape is None or len(shape) != 4 or shape[1] % block or reorder.attributes.get("channels_last", 0):
            continue
        for reader in model.readers(value):
            new = _mean(reader, reorder, original, shape) or _gate(model, reader, reorder, original, shape)
            if new is not None:
                new.attributes["block"] = block
                model.nodes[model.nodes.index(reader)] = new
                count += 1
        if not model.readers(value) and value not in model.outputs:
            model.nodes.remove(reorder)
    if count:
        model.require_domain("edgevid")
    return count


def _mean(node: Node, reorder: Node, original: Model, shape: Shape) -> Node | None:
    """The mean over channels or images that ``node`` is, as its result's shape tells; None if it is none."""
    if node.kind != "ReduceMean" or shape[1] == 1 or shape[2] * shape[3] == 1:
        return None
    kinds = {_of_pixels(shape): "ChannelMean", _of_channels(shape): "ImageMean"}
    kind = kinds.get(original.shapes.get(node.outputs[0], ()))
    return kind and Node(kind, "edgevid", node.name, reorder.inputs[:1], node.outputs)


def _gate(model: Model, node: Node, reorder: Node, original: Model, shape: Shape) -> Node | None:
    """The gate that ``node`` is; None if it is none, or if its result is needed in plain layout."""
    if node.kind != "Mul" or node.outputs[0] in model.outputs:
        return None
    after = model.readers(node.outputs[0])
    if not after or any(item.kind != TO_BLOCKS or item.attributes.get("channels_last", 0) for item in after):
        return None
    gates = _gates(model, node, reorder.outputs[0], original, shape)
    if gates is None:
        return None
    for item in after:
        model.nodes.remove(item)
        for reader in model.readers(item.outputs[0]):
            reader.inputs = [node.outputs[0] if name == item.outputs[0] else name for name in reader.inputs]
    return Node("Gate", "edgevid", node.name, [reorder.inputs[0], *gates], node.outputs)


def _gates(model: Model, node: Node, value: str, original: Model, shape: Shape) -> list[str] | None:
    """The values that ``node`` multiplies channels, and perhaps pixels, by; the sum of both then goes."""
    factors = [name for name in node.inputs if name != value]
    if len(factors) != 1:
        return None
    if original.shapes.get(factors[0]) == _of_channels(shape):
        return factors
    if factors[0] in model.outputs:
        return None
    for adding in model.nodes:
        if adding.kind == "Add" and adding.outputs == factors and len(model.readers(factors[0])) == 1:
            by_shape = {original.shapes.get(name): name for name in adding.inputs}
            if by_shape.keys() == {_of_channels(shape), _of_pixels(shape)}:
                model.nodes.remove(adding)
                return [by_shape[_of_channels(shape)], by_shape[_of_pixels(shape)]]
    return None


def _of_channels(shape: Shape) -> Shape:
    return (*shape[:2], 1, 1)


def _of_pixels(shape: Shape) -> Shape:
    return (shape[0], 1, *shape[2:])

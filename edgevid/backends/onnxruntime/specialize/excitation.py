"""Replace the means and gates of feature excitation by kernels that work in blocks, without re-orderings.

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
    """Change the optimized ``model``, whose shapes ``original`` has; returns the number of replaced ops."""
    count = 0
    for reorder in [node for node in model.nodes if node.kind == FROM_BLOCKS]:
        value, shape = reorder.outputs[0], original.shapes.get(reorder.outputs[0])
        if shape is None or len(shape) != 4 or shape[1] % block or reorder.attributes.get("channels_last", 0):
            continue
        for reader in model.readers(value):
            replacement = _mean(reader, reorder, original, shape) or _gate(
                model, reader, reorder, original, shape
            )
            if replacement is not None:
                replacement.attributes["block"] = block
                model.nodes[model.nodes.index(reader)] = replacement
                count += 1
        if not model.readers(value) and value not in model.outputs:
            model.nodes.remove(reorder)
    if count:
        model.require_domain("edgevid")
    return count


def _mean(node: Node, reorder: Node, original: Model, shape: Shape) -> Node | None:
    """The kernel for a mean over channels or pixels, by the shape of its result; None for other nodes."""
    if node.kind != "ReduceMean" or shape[1] == 1 or shape[2] * shape[3] == 1:
        return None
    kinds = {_of_pixels(shape): "ChannelMean", _of_channels(shape): "ImageMean"}
    kind = kinds.get(original.shapes.get(node.outputs[0], ()))
    return kind and Node(kind, "edgevid", node.name, reorder.inputs[:1], node.outputs)


def _gate(model: Model, node: Node, reorder: Node, original: Model, shape: Shape) -> Node | None:
    """The kernel for a gate; None for other nodes, or if the result is read in plain layout."""
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
    """The factors of channels, and of pixels if there are any, in ``node``; an ``Add`` of both is removed."""
    factors = [name for name in node.inputs if name != value]
    if len(factors) != 1:
        return None
    if original.shapes.get(factors[0]) == _of_channels(shape):
        return factors
    if factors[0] in model.outputs:
        return None
    for add in model.nodes:
        if add.kind == "Add" and add.outputs == factors and len(model.readers(factors[0])) == 1:
            by_shape = {original.shapes.get(name): name for name in add.inputs}
            if by_shape.keys() == {_of_channels(shape), _of_pixels(shape)}:
                model.nodes.remove(add)
                return [by_shape[_of_channels(shape)], by_shape[_of_pixels(shape)]]
    return None


def _of_channels(shape: Shape) -> Shape:
    return (*shape[:2], 1, 1)


def _of_pixels(shape: Shape) -> Shape:
    return (shape[0], 1, *shape[2:])

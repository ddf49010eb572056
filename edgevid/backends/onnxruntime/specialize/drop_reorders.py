"""Drop the layout re-orderings around ops that work in any layout.

ReorderInput(op(ReorderOutput(a), ReorderOutput(b))) -> op(a, b)
"""

from __future__ import annotations

from edgevid.onnxfile.graph import Model, Node

TO_BLOCKS, FROM_BLOCKS = "com.microsoft.nchwc.ReorderInput", "com.microsoft.nchwc.ReorderOutput"
ANY_LAYOUT = ("edgevid.TemporalDifference",)


def stay_in_blocks(model: Model, block: int | None) -> int:
    """Change the optimized ``model``; returns the number of ops that now work in blocks."""
    ops = [node for node in model.nodes if node.kind in ANY_LAYOUT]
    return sum(_stay(model, op, block) for op in ops)


def _stay(model: Model, op: Node, block: int | None) -> bool:
    (y,) = op.outputs
    makers = {name: node for node in model.nodes for name in node.outputs}
    before = [makers.get(name) for name in op.inputs]
    after = model.readers(y)
    if y in model.outputs or not after or not all(_is(node, TO_BLOCKS) for node in after):
        return False
    if not all(_is(node, FROM_BLOCKS) for node in before):
        return False
    if len({node.attributes.get("channels") for node in before}) != 1:
        return False
    inputs = [node.inputs[0] for node in before]
    attributes = {**op.attributes, "block": block}
    model.nodes[model.nodes.index(op)] = Node(op.op_type, op.domain, op.name, inputs, [y], attributes)
    for node in after:
        model.nodes.remove(node)
        for reader in model.readers(node.outputs[0]):
            reader.inputs = [y if name == node.outputs[0] else name for name in reader.inputs]
    for node in before:
        value = node.outputs[0]
        if node in model.nodes and not model.readers(value) and value not in model.outputs:
            model.nodes.remove(node)
    return True


def _is(node: Node | None, kind: str) -> bool:
    return node is not None and node.kind == kind and not node.attributes.get("channels_last", 0)

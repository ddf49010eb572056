"""Which nodes of a graph become one function: [shift ->] convolution [-> sum] [-> activation].

A node belongs to at most one group, and a group is written where its last node stands, when all that it
reads is there. Temporal ops inside (``absorbed``) are kept from the passes that lower them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.backends.tvm.importer.importer import is_constant
from edgevid.ops import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

READS = ("TemporalShift", "TemporalShiftStep", "FrameStack")
"""The ops that a convolution does by reading its input elsewhere."""


@dataclass(frozen=True)
class Group:
    """A convolution with what is fused into it; ``last`` is its last node, whose output it writes.

    ``reads`` is the temporal op before it, ``residual`` what is added to the sum, ``activation`` as an
    ``Epilogue`` takes it.
    """

    conv: ir.Node
    last: ir.Node
    reads: ir.Node | None = None
    residual: ir.Value | None = None
    activation: tuple = ()


def find_groups(graph: ir.Graph) -> dict[ir.Node, Group]:
    """The groups of ``graph`` by their last node."""
    groups: dict[ir.Node, Group] = {}
    taken: set[ir.Node] = set()
    for node in graph:
        if node not in taken and _is_start(node):
            group = _grow(node, taken)
            groups[group.last] = group
            taken |= {group.conv, group.last}
    return groups


def absorbed(groups: Mapping[ir.Node, Group]) -> set[ir.Node]:
    """The temporal ops that the functions of ``groups`` do themselves."""
    inside = {node for group in groups.values() for node in (group.conv, group.reads)}
    return {node for node in inside if node is not None and node.domain == DOMAIN}


def _is_start(node: ir.Node) -> bool:
    if node.op_type == "TemporalConv" and node.domain == DOMAIN:
        return _rank(node.inputs[0]) == 4
    return _is_image_conv(node)


def _is_image_conv(node: ir.Node) -> bool:
    """Whether our functions can do it: a convolution of images by constant weights, its pads written out."""
    return (
        node.op_type == "Conv"
        and node.domain == ""
        and _rank(node.inputs[0]) == 4
        and all(value is None or is_constant(value) for value in node.inputs[1:])
        and attribute(node.attributes, "auto_pad", "NOTSET") in ("NOTSET", "")
    )


def _grow(conv: ir.Node, taken: set[ir.Node]) -> Group:
    """The group of one convolution; the nodes between its ends are added to ``taken``."""
    reads = _absorbed(conv)
    last, residual = conv, None
    follower = _only_user(last)
    if follower is not None and follower.op_type == "Add" and follower not in taken:
        residual = _other(follower, last.outputs[0])
        if residual is not None:
            taken.add(follower)
            last = follower
            follower = _only_user(last)
    activation = ()
    if follower is not None and follower not in taken:
        activation = activation_of(follower)
        if activation:
            taken.add(follower)
            last = follower
    return Group(conv, last, reads, residual, activation)


def _absorbed(conv: ir.Node) -> ir.Node | None:
    """The temporal op that all readers of its result can do themselves, of which ``conv`` is one."""
    if not _is_dense(conv):
        return None
    node = conv.inputs[0].producer()
    if node is None or node.op_type not in READS or node.domain != DOMAIN:
        return None
    result = node.outputs[0]
    readers_can = all(_is_dense(user) and index == 0 for user, index in result.uses())
    return node if readers_can and not result.is_graph_output() else None


def _is_dense(node: ir.Node) -> bool:
    group = node.attributes.get("group")
    return _is_image_conv(node) and (group is None or group.as_int() == 1)


def _only_user(node: ir.Node) -> ir.Node | None:
    value = node.outputs[0]
    uses = list(value.uses())
    return uses[0][0] if len(uses) == 1 and not value.is_graph_output() else None


def _other(add: ir.Node, value: ir.Value) -> ir.Value | None:
    """What an addition adds to ``value``, if it has the same shape."""
    others = [given for given in add.inputs if given is not value]
    if len(others) != 1 or others[0].shape != value.shape:
        return None
    return others[0]


def activation_of(node: ir.Node) -> tuple:
    """What an ``Epilogue`` calls the activation that ``node`` is; empty for any other node."""
    if node.domain:
        return ()
    if node.op_type == "Relu":
        return ("relu",)
    if node.op_type == "LeakyRelu":
        return ("leaky", attribute(node.attributes, "alpha", 0.01))
    if node.op_type == "Clip":
        low, high = clip_bounds(node)
        if None not in (low, high):
            return ("clip", low, high)
    return ()


def clip_bounds(node: ir.Node) -> tuple[float | None, float | None]:
    """The bounds of a ``Clip``; None for one that is absent or not constant."""
    bounds = [*node.inputs[1:3], None, None][:2]
    return tuple(
        None if bound is None or bound.const_value is None else float(bound.const_value.numpy())
        for bound in bounds
    )


def attribute(attributes: Mapping[str, ir.Attr], name: str, default):
    """An attribute's value, ``default`` if it is absent."""
    return attributes[name].value if name in attributes else default


def _rank(value: ir.Value) -> int:
    return len(value.shape) if value.shape is not None else -1

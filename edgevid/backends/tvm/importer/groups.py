"""Find the groups of nodes that become one function: [shift ->] convolution [-> sum] [-> activation].

A node belongs to at most one group, and a group is written at its last node, after all of its inputs.
Temporal ops in groups (``absorbed_ops``) are excluded from lowering.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.backends.tvm.importer.importer import is_constant
from edgevid.backends.tvm.importer.sources import SOURCES
from edgevid.ops import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Group:
    """A convolution and the nodes fused into it; ``last`` is the last node, whose output it writes.

    ``temporal_op`` precedes the convolution, ``residual`` is added to its sum, and ``activation`` is that of
    an ``Epilogue``.
    """

    conv: ir.Node
    last: ir.Node
    temporal_op: ir.Node | None = None
    residual: ir.Value | None = None
    activation: tuple = ()


def find_groups(graph: ir.Graph) -> dict[ir.Node, Group]:
    """The groups of ``graph`` by their last nodes."""
    groups: dict[ir.Node, Group] = {}
    members: set[ir.Node] = set()
    for node in graph:
        if node not in members and _is_start(node):
            group = _grow(node, members)
            groups[group.last] = group
            members |= {group.conv, group.last}
    return groups


def absorbed_ops(groups: Mapping[ir.Node, Group]) -> set[ir.Node]:
    """The temporal ops that the functions of ``groups`` compute."""
    nodes = {node for group in groups.values() for node in (group.conv, group.temporal_op)}
    return {node for node in nodes if node is not None and node.domain == DOMAIN}


def _is_start(node: ir.Node) -> bool:
    if node.op_type == "TemporalConv" and node.domain == DOMAIN:
        return _rank(node.inputs[0]) == 4
    return _is_image_conv(node)


def _is_image_conv(node: ir.Node) -> bool:
    """Whether it is a 2D convolution with constant weights and explicit padding."""
    return (
        node.op_type == "Conv"
        and node.domain == ""
        and _rank(node.inputs[0]) == 4
        and all(value is None or is_constant(value) for value in node.inputs[1:])
        and attribute(node.attributes, "auto_pad", "NOTSET") in ("NOTSET", "")
    )


def _grow(conv: ir.Node, members: set[ir.Node]) -> Group:
    """The group of one convolution; adds its further nodes to ``members``."""
    temporal_op = _absorbable_op(conv)
    last, residual = conv, None
    follower = _only_user(last)
    if follower is not None and follower.op_type == "Add" and follower not in members:
        residual = _addend(follower, last.outputs[0])
        if residual is not None:
            members.add(follower)
            last = follower
            follower = _only_user(last)
    activation = ()
    if follower is not None and follower not in members:
        activation = activation_of(follower)
        if activation:
            members.add(follower)
            last = follower
    return Group(conv, last, temporal_op, residual, activation)


def _absorbable_op(conv: ir.Node) -> ir.Node | None:
    """The temporal op before ``conv``, if all readers of its result can absorb it."""
    if not _is_dense(conv):
        return None
    node = conv.inputs[0].producer()
    if node is None or node.op_type not in SOURCES or node.domain != DOMAIN:
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


def _addend(add: ir.Node, value: ir.Value) -> ir.Value | None:
    """The other operand of an addition to ``value``, if it has the same shape."""
    addends = [operand for operand in add.inputs if operand is not value]
    if len(addends) != 1 or addends[0].shape != value.shape:
        return None
    return addends[0]


def activation_of(node: ir.Node) -> tuple:
    """The activation ``node`` for an ``Epilogue``; empty for any other node."""
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
    """The bounds of a ``Clip``; None for a bound that is absent or not constant."""
    bounds = [*node.inputs[1:3], None, None][:2]
    return tuple(
        None if bound is None or bound.const_value is None else float(bound.const_value.numpy())
        for bound in bounds
    )


def attribute(attributes: Mapping[str, ir.Attr], name: str, default):
    """An attribute's value, or ``default``."""
    return attributes[name].value if name in attributes else default


def _rank(value: ir.Value) -> int:
    return len(value.shape) if value.shape is not None else -1

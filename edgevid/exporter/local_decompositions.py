"""Decompositions applied to an exported program directly, without tracing it again.

``run_decompositions`` runs the whole program again for the few operators without a translation to ONNX,
which takes longer than tracing the network did. Most video networks have only operators that can be replaced
one by one: in-place operators, batch norms, reshapes. The result is the program that tracing would give.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Mapping
from math import prod
from typing import Any

import torch
from torch.fx import Node

aten = torch.ops.aten

Change = Callable[[], None]

WHOLE = frozenset(
    {
        aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.linear.default,
        aten.matmul.default, aten.max_pool2d.default, aten.max_pool3d.default, aten.layer_norm.default,
        aten.pad.default, aten.softmax.int, aten.upsample_nearest2d.vec,
    }
)  # fmt: skip
"""Composite operators that ONNX has, so they are kept; their results are new tensors. Others are traced."""

LIFTED = frozenset({aten.lift_fresh_copy.default, aten.lift_fresh.default, aten.detach_.default})
"""Operators that tracing removes or renames, which this module cannot do."""


def decompose_locally(exported: torch.export.ExportedProgram, traced: Container[Any]) -> bool:
    """Rewrite ``exported`` in place; returns False, changing nothing, if an operator needs a trace.

    ``traced`` are the operators without a translation. Shapes must be fixed.
    """
    order = {node: place for place, node in enumerate(exported.graph.nodes)}
    changes, aliases = [], _Aliases(order)
    if not all(_is_fixed(node) for node in order):
        return False
    for node in order:
        if node.op in ("placeholder", "output"):
            continue
        if node.op != "call_function":
            return False
        if node.target is not operator.getitem:
            change = _change(node, traced, aliases)
            if change is None:
                return False
            changes.append(change)
        aliases.join(node)
    for change in changes:
        change()
    exported.graph.eliminate_dead_code()
    return True


def _change(node: Node, traced: Container[Any], aliases: _Aliases) -> Change | None:
    """The rewrite of ``node``, or None if it needs a trace."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or target in LIFTED:
        return None
    if target in RULES:
        return RULES[target](node, traced)
    if target._schema.is_mutable:
        return _out_of_place(node, traced, aliases)
    return None if target in traced or (_is_composite(target) and target not in WHOLE) else _nothing


class _Aliases:
    """Tensors that may share memory, and the nodes that read them after a given node."""

    def __init__(self, order: Mapping[Node, int]) -> None:
        self._order = order
        self._group: dict[Node, set[Node]] = {}

    def join(self, node: Node) -> None:
        """Put ``node`` in the group of its inputs, unless its operator returns new tensors."""
        group = {node}
        if _shares(node.target):
            for source in node.all_input_nodes:
                group |= self._group.get(source, {source})
        for member in group:
            self._group[member] = group

    def are_later(self, node: Node) -> Callable[[Node], bool]:
        """Whether another node comes after ``node``; one that was added later does not."""
        return lambda other: self._order.get(other, -1) > self._order[node]

    def may_write(self, node: Node) -> bool:
        """Whether no node after ``node`` reads the memory it overwrites through an alias of its input."""
        target = node.args[0]
        group = self._group.get(target, {target})
        if any(member.op == "placeholder" for member in group):
            return False
        is_later = self.are_later(node)
        return not any(is_later(user) for member in group - {target} for user in member.users)


def _shares(target: Any) -> bool:
    """Whether a result may be an input or a view of one, which composite operators do not always declare."""
    if target is operator.getitem or (
        _is_composite(target) and target not in WHOLE | {aten.batch_norm.default}
    ):
        return True
    return any(result.alias_info is not None for result in target._schema.returns)


def _is_composite(target: torch._ops.OpOverload) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(target.name(), "CompositeImplicitAutograd")


def _is_fixed(node: Node) -> bool:
    values = node.meta.get("val")
    symbols = (torch.SymInt, torch.SymFloat, torch.SymBool)
    return not any(
        isinstance(number, symbols)
        for value in (values if isinstance(values, (list, tuple)) else [values])
        for number in (value.shape if isinstance(value, torch.Tensor) else [value])
    )


def _nothing() -> None:
    """The rewrite of a node that stays."""


def _out_of_place(node: Node, traced: Container[Any], aliases: _Aliases) -> Change | None:
    """``y = f_(x)``: ``y = f(x)``, and ``y`` wherever ``x`` is read afterwards."""
    packet, _, overload = node.target.__name__.partition(".")
    twin = getattr(getattr(aten, packet.removesuffix("_"), None), overload, None)
    if node.target.namespace != "aten" or not packet.endswith("_") or twin is None:
        return None
    if twin in traced or twin._schema.is_mutable or _is_composite(twin) or _shares(twin):
        return None
    if [a.name for a in twin._schema.arguments] != [a.name for a in node.target._schema.arguments]:
        return None
    values = [source.meta["val"] for source in (node, *node.all_input_nodes)]
    alike = all(isinstance(value, torch.Tensor) and value.dtype == values[0].dtype for value in values)
    if not alike or not values[0].is_floating_point() or not isinstance(node.args[0], Node):
        return None
    if not aliases.may_write(node):
        return None

    def change() -> None:
        node.target = twin
        node.args[0].replace_all_uses_with(node, delete_user_cb=aliases.are_later(node))

    return change


def _batch_norm(node: Node, traced: Container[Any]) -> Change | None:
    native = aten._native_batch_norm_legit_no_training.default
    if len(node.args) < 8 or node.kwargs or native in traced:
        return None
    *tensors, training, momentum, epsilon = node.args[:8]
    if training or not all(isinstance(tensor, Node) for tensor in tensors):
        return None

    def change() -> None:
        with node.graph.inserting_before(node):
            norm = node.graph.call_function(native, (*node.args[:5], momentum, epsilon))
        result = node.meta["val"]
        norm.meta = {**node.meta, "val": (result, result.new_empty(0), result.new_empty(0))}
        node.target, node.args = operator.getitem, (norm, 0)

    return change


def _reshape(node: Node, traced: Container[Any]) -> Change | None:
    value, shape = node.args[0].meta["val"], list(node.meta["val"].shape)
    viewed = _is_viewed(value, shape)
    if not viewed and (aten.clone.default in traced or aten._unsafe_view.default in traced):
        return None

    def change() -> None:
        source = node.args[0]
        node.target, node.args, node.kwargs = aten.view.default, (source, shape), {}
        if not viewed:
            with node.graph.inserting_before(node):
                contiguous = {"memory_format": torch.contiguous_format}
                copy = node.graph.call_function(aten.clone.default, (source,), contiguous)
            copy.meta = {**node.meta, "val": torch.empty_like(value, **contiguous)}
            node.target, node.args = aten._unsafe_view.default, (copy, shape)

    return change


def _is_viewed(value: torch.Tensor, shape: list[int]) -> bool:
    try:
        value.view(shape)
    except (RuntimeError, ValueError):
        return False
    return True


def _dropout(node: Node, traced: Container[Any]) -> Change | None:
    """An identity in evaluation mode."""
    return _bypass(node) if len(node.args) == 3 and node.args[2] is False else None


def _contiguous(node: Node, traced: Container[Any]) -> Change | None:
    same = len(node.args) == 1 and not node.kwargs and node.args[0].meta["val"].is_contiguous()
    return _bypass(node) if same else None


def _bypass(node: Node) -> Change | None:
    if any(user.op == "output" for user in node.users):  # the program's signature refers to it by name
        return None

    def change() -> None:
        node.replace_all_uses_with(node.args[0])
        node.graph.erase_node(node)

    return change


def _mean(node: Node, traced: Container[Any]) -> Change | None:
    """An adaptive pool to one element is a mean."""
    sizes = node.args[1]
    if prod(sizes) != 1:
        return None

    def change() -> None:
        axes = list(range(-1, -len(sizes) - 1, -1))
        node.target, node.args = aten.mean.dim, (node.args[0], axes, True)

    return change


def _average(node: Node, traced: Container[Any]) -> Change | None:
    """The exporter translates a pool without ``divisor_override``."""
    divisor = node.args[6] if len(node.args) > 6 else node.kwargs.get("divisor_override")
    return _nothing if divisor is None else None


RULES: dict[Any, Callable[[Node, Container[Any]], Change | None]] = {
    aten.batch_norm.default: _batch_norm,
    aten.flatten.using_ints: _reshape,
    aten.reshape.default: _reshape,
    aten.unflatten.int: _reshape,
    aten.dropout.default: _dropout,
    aten.contiguous.default: _contiguous,
    aten.adaptive_avg_pool2d.default: _mean,
    aten.adaptive_avg_pool3d.default: _mean,
    aten.avg_pool2d.default: _average,
    aten.avg_pool3d.default: _average,
}
"""Operator to the function that returns the rewrite of a node, or None if it needs a trace."""

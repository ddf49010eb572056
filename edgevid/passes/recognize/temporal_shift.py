"""Reshape(data movement(Reshape(x))) -> TemporalShift(x), for any implementation of the data movement.

It may consist of slices assigned into zeros, splits and concatenations, pads, rolls with masks, gathers, or
one-hot channel-wise convolutions over time: only the origin of each element of the result counts. If these
make a temporal shift of a tensor ``(N*T, C, H, W)``, or of one of another shape with the same elements, the
shift replaces the nodes. The number of frames also follows from the origins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import prod

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.ops.functions import attach_functions
from edgevid.ops.temporal_shift import Shift
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.passes.recognize.data_movement import NotDataMovementError, moves, origins_of
from edgevid.passes.recognize.shift_of_origins import shift_of
from edgevid.specs import PassReport

FRAME_RANK = 4


def recognize_temporal_shift(graph: ir.Model) -> PassReport:
    """Replace each temporal shift in standard operators; report data movement that only resembles one."""
    search, pending = _Search(graph.graph), list(graph.graph)
    matched, refused = 0, []
    # From the end, so that a whole data movement is examined before its parts.
    while pending:
        node = pending.pop()
        if node.graph is None or len(node.outputs) != 1:
            continue
        match = search.find_shift(node.outputs[0])
        if isinstance(match, str):
            refused.append(f"{node.outputs[0].name}: {match}")
        elif match is not None:
            pending += search.replace(node, *match)
            matched += 1
    if matched:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    # The spelling in the manifests of bundles.
    return PassReport("recognise_temporal_shift", matched, tuple(reversed(refused)))


class _Search:
    """Looks for shifts in a graph, and records the values inside data movement that was refused."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._order = {node: number for number, node in enumerate(graph)}
        self._constants = ConstantValues()
        self._inside: set[ir.Value] = set()

    def find_shift(self, result: ir.Value) -> tuple[ir.Value, Shift] | str | None:
        """The source tensor and the shift that produce ``result``; or why it is not a shift; or None."""
        if result in self._inside or not _holds_frames(result):
            return None
        if not moves(result.producer(), self._constants):
            return None
        reason, parts = None, set()
        for source, nodes in self._sources(result):
            if not _is_rearranged(source, result):
                continue
            try:
                origins = origins_of(result, source, nodes, self._constants)
            except NotDataMovementError:
                break
            shift, same_shape = shift_of(origins), source.shape == result.shape
            if isinstance(shift, Shift):
                return source, shift
            if shift is None and same_shape:
                break
            # Without zeros, a permutation of a tensor of another shape is only a change of layout.
            if shift is None or (not same_shape and origins.index.all()):
                continue
            reason = shift
            parts |= {value for node in nodes for value in node.outputs if value.shape != result.shape}
        self._inside |= parts
        return reason

    def replace(self, node: ir.Node, source: ir.Value, shift: Shift) -> list[ir.Node]:
        """Replace ``node``, and the nodes that only it reads, by a temporal shift of ``source``.

        Returns the nodes inserted before the shift, which may end another data movement.
        """
        result = node.outputs[0]
        name = f"{result.name}_shift"
        build, added = Builder(self._graph, node, name), []
        if source.shape != result.shape:
            shape = result.shape.numpy()
            source = build.node("Reshape", [source, build.ints(shape)], shape, source.type)
            added.append(source.producer())
        new = ir.node("TemporalShift", [source], asdict(shift), domain=ops.DOMAIN, name=name)
        new.meta.update(node.meta)
        shifted = new.outputs[0]
        shifted.shape, shifted.type = result.shape, source.type
        self._graph.insert_before(node, new)
        self._order |= dict.fromkeys([*added, new], self._order[node])
        pending = _producers(node)
        build.replace_anchor(shifted)
        while pending:
            dead = pending.pop()
            if dead.graph and not any(value.uses() or value.is_graph_output() for value in dead.outputs):
                pending += _producers(dead)
                self._graph.remove(dead, safe=True)
        return added

    def _sources(self, result: ir.Value) -> Iterator[tuple[ir.Value, list[ir.Node]]]:
        """The values that determine ``result`` by data movement, nearest first, with the nodes between."""
        nodes: list[ir.Node] = []
        pending, fixed = {result}, set()
        while pending:
            value = max(pending, key=self._position)
            node = value.producer()
            if node is None or not moves(node, self._constants):
                pending.remove(value)
                fixed.add(value)
            else:
                nodes.append(node)
                pending -= set(node.outputs)
                pending |= {
                    operand for operand in node.inputs if operand is not None and self._varies(operand)
                }
            if len(fixed) > 1:
                return
            if len(pending | fixed) == 1:
                yield next(iter(pending | fixed)), nodes[::-1]

    def _position(self, value: ir.Value) -> int:
        node = value.producer()
        return -1 if node is None else self._order.get(node, -1)

    def _varies(self, value: ir.Value) -> bool:
        return self._constants.of(value) is None


def _is_rearranged(source: ir.Value, result: ir.Value) -> bool:
    """Whether ``source`` has as many elements as ``result``, and is not just a reshape."""
    if source.shape == result.shape:
        return True
    if source.shape is None or not source.shape.is_static() or source.dtype != result.dtype:
        return False
    node = source.producer()
    return (node is None or node.op_type != "Reshape") and prod(source.shape.numpy()) == prod(
        result.shape.numpy()
    )


def _producers(node: ir.Node) -> list[ir.Node]:
    return [value.producer() for value in node.inputs if value is not None and value.producer() is not None]


def _holds_frames(value: ir.Value) -> bool:
    """Whether it can be frames ``(N*T, C, H, W)`` in floating point."""
    shape, dtype = value.shape, value.dtype
    if shape is None or dtype is None or not dtype.is_floating_point():
        return False
    return len(shape) == FRAME_RANK and shape.is_static() and 0 not in shape.numpy()

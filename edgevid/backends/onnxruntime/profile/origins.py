"""Which nodes of a bundle's model file each node of the optimized model computes.

ONNX Runtime and ``specialize`` fuse, rename and re-order nodes, and keep no record of it. What survives: the
names of values between nodes that are not fused, of nodes, and of biases. A node that nothing identifies was
fused with a neighbor: an activation or a sum with the node before it, a convolution with the node after it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edgevid.backends.onnxruntime.specialize.coverage import INSIDE_A_CONVOLUTION
from edgevid.onnxfile.graph import Model, Node
from edgevid.ops import DOMAIN
from edgevid.ops.standard import WITH_MACS

SUFFIX = re.compile(r"(_token_\d+)$")
BLOCKED = re.compile(r"(_nchwc)?(_token_\d+)?$")
"""What ONNX Runtime appends to a name: for a unique one, and to the value that a blocked node computes."""
FROM_BLOCKS = "ReorderOutput"
BEFORE_ITS_READER = frozenset({"DequantizeLinear", "Pad"})
"""Nodes that are fused into the node after them."""


@dataclass
class Origins:
    """Indices of nodes: those of the file by node of the optimized model, and the ``folded`` constants.

    ``bodies`` maps the temporal ops of the file that no kernel runs to the nodes of their function bodies.
    """

    of: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    folded: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    bodies: dict[int, list[int]] = field(default_factory=dict)


class _Graph:
    """The makers and readers of the values of a graph, as indices of nodes."""

    def __init__(self, model: Model) -> None:
        self.nodes = model.nodes
        self.makers = {name: i for i, node in enumerate(model.nodes) for name in node.outputs if name}
        self.readers: dict[str, list[int]] = defaultdict(list)
        for i, node in enumerate(model.nodes):
            for name in filter(None, node.inputs):
                self.readers[name].append(i)

    def before(self, index: int) -> list[int]:
        return [self.makers[name] for name in self.nodes[index].inputs if name in self.makers]

    def after(self, index: int) -> list[int]:
        return [reader for name in self.nodes[index].outputs for reader in self.readers.get(name, ())]


def origins_of(file: Model, optimized: Model) -> Origins:
    """The origins of ``optimized``, which was made from ``file``; each node of ``file`` is in one place."""
    before, after = _Graph(file), _Graph(optimized)
    origins = Origins()
    constant: set[int] = set()
    places: dict[int, int] = {}
    anchors = _Anchors(file, optimized, before, after)
    for index, node in enumerate(file.nodes):
        place = anchors.find(node)
        if place is not None:
            places[index] = place
        elif all(
            name in file.weights or before.makers.get(name) in constant for name in filter(None, node.inputs)
        ):
            constant.add(index)
    for index in range(len(file.nodes)):
        if index not in places and index not in constant:
            place = _place(index, before, places, after)
            if place is not None:
                places[index] = place
    for index in range(len(file.nodes)):
        if index in places:
            origins.of[places[index]].append(index)
        else:
            (origins.folded if index in constant else origins.removed).append(index)
    for index, node in enumerate(file.nodes):
        if node.domain == DOMAIN and index in places and optimized.nodes[places[index]].domain != DOMAIN:
            origins.bodies[index] = sorted(_body(node, after))
    return origins


class _Anchors:
    """What identifies a node of the file in the optimized model."""

    def __init__(self, file: Model, optimized: Model, before: _Graph, after: _Graph) -> None:
        self.values = {name: _behind_layout(maker, after) for name, maker in after.makers.items()}
        self.names, self.blocked = {}, {}
        for index, node in enumerate(optimized.nodes):
            self.names.setdefault(SUFFIX.sub("", node.name), index)
            self.names.setdefault(node.name, index)
            if BLOCKED.sub("", node.name) != node.name:
                self.blocked.setdefault(BLOCKED.sub("", node.name), index)
        self.weights = {
            name: after.readers[name][0]
            for name in set(file.weights) & set(optimized.weights)
            if len(before.readers[name]) == len(after.readers[name]) == 1
        }

    def find(self, node: Node) -> int | None:
        for table, names in (
            (self.blocked, node.outputs),
            (self.values, node.outputs),
            (self.names, [node.name]),
            (self.weights, node.inputs),
        ):
            for name in filter(None, names):
                if name in table:
                    return table[name]
        return None


def _behind_layout(index: int, graph: _Graph) -> int:
    """The node whose result the node brings into plain layout, or else the node itself."""
    return (graph.before(index) or [index])[0] if graph.nodes[index].op_type == FROM_BLOCKS else index


def _place(index: int, file: _Graph, places: dict[int, int], optimized: _Graph) -> int | None:
    """The node of the optimized model that an unidentified node was fused into."""
    graph, node = file, file.nodes[index]
    makers = [places[maker] for maker in graph.before(index) if maker in places]
    readers = list(_readers(index, graph, places))
    if op := lowered_op_of(node):  # its nodes stay together
        for place in (*makers, *readers):
            if lowered_op_of(optimized.nodes[place]) == op:
                return place
    kernels = [optimized.nodes[place] for place in makers]
    is_fused = any(
        kernel.domain == DOMAIN and kernel.op_type.startswith(INSIDE_A_CONVOLUTION) for kernel in kernels
    )
    is_first = node.op_type in WITH_MACS and not is_fused
    if (is_first or node.op_type in BEFORE_ITS_READER) and readers:
        return min(readers)
    if makers:
        return max(makers)  # a sum is fused into the later of its two convolutions
    return min(readers, default=None)


def _readers(index: int, graph: _Graph, places: dict[int, int]) -> Iterator[int]:
    """The places of the nodes that read the result, through unidentified ones without MACs."""
    waiting, seen = graph.after(index), {index}
    while waiting:
        reader = waiting.pop()
        if reader in seen:
            continue
        seen.add(reader)
        if reader in places:
            yield places[reader]
        elif graph.nodes[reader].op_type not in WITH_MACS:
            waiting += graph.after(reader)


def _body(op: Node, graph: _Graph) -> set[int]:
    """The nodes of the optimized model between the inputs and the outputs of ``op``."""
    ends = set(op.inputs)
    waiting = [graph.makers[name] for name in op.outputs if name in graph.makers]
    found: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            inputs = [name for name in graph.nodes[index].inputs if name not in ends]
            waiting += [graph.makers[name] for name in inputs if name in graph.makers]
    return found


WEIGHT = re.compile(r"(.+)\.(weight|bias)(_of_.+|_int8.*|_quantised.*)?$")


def path_of(node: Node, weights: Sequence[str]) -> str:
    """The path of the node's layer in the user's network, by the names of its ``weights``, or empty."""
    if node.domain == DOMAIN:
        return node.name
    return next((match[1] for name in weights if (match := WEIGHT.match(name))), "")


def lowered_op_of(node: Node) -> str:
    """The path of the temporal op that the node was a part of before it was lowered, or empty."""
    path, slash, _ = node.name.partition("/")
    return path if slash and "." in path and node.domain != DOMAIN else ""

"""The profile of a model that ONNX Runtime runs: its profiler's times, with the layers of the user's network.

1. The model is opened again with the profiler on. Unless ``specialize`` has optimized it already, the
   optimized model is saved as well.
2. ``events`` reads the times of its nodes, ``origins`` finds what each of them computes.
3. Nodes that belong to one temporal op, as those of its function body, become one layer.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgevid.backends.onnxruntime.profile import costs
from edgevid.backends.onnxruntime.profile.events import Events, NodeEvents, indices_in, read_events
from edgevid.backends.onnxruntime.profile.origins import Origins, lowered_op_of, origins_of, path_of
from edgevid.backends.protocol import LayerTimes, Profile, Runner
from edgevid.onnxfile.graph import Model, Node
from edgevid.ops import DOMAIN
from edgevid.ops.standard import WITH_MACS

KERNEL, RUNTIME, BODY = "edgevid kernel", "runtime", "function body"
OPTIMIZED, WEIGHTS = "optimized.onnx", "optimized.weights"
FOLDED = "folded: it is constant"
REMOVED = "removed: it has no effect, or its result is not used"


class NodeProfiler:
    """A ``Profiler``; ``open_again(configure=...)`` opens the model at ``path``, which ``source`` became."""

    def __init__(
        self,
        open_again: Callable[..., Any],
        configure: Callable[[Any], None],
        source: Path,
        path: Path,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgevid-profile-")
        folder = Path(self._folder.name)
        is_optimized = source != path
        self._source, self._optimized = source, path if is_optimized else folder / OPTIMIZED

        def with_profiler(options: Any) -> None:
            configure(options)
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / "profile")
            if not is_optimized:
                options.optimized_model_filepath = str(folder / OPTIMIZED)
                entry = "session.optimized_model_external_initializers_file_name"
                options.add_session_config_entry(entry, WEIGHTS)

        self._runner = open_again(configure=with_profiler)
        self.runner: Runner = self._runner

    def finish(self, skip: int) -> Profile:
        with self._folder:
            events = read_events(self._runner.end_profiling(), skip)
            file, optimized = (Model(path.read_bytes()) for path in (self._source, self._optimized))
            return profile_of(events, file, optimized)


def profile_of(events: Events, file: Model, optimized: Model) -> Profile:
    """The profile of ``events``, whose nodes are those of ``optimized``, which was made from ``file``."""
    origins = origins_of(file, optimized)
    names = _Names(file, optimized, origins)
    indices = indices_in(optimized, events.nodes)
    groups: dict[object, list[tuple[NodeEvents, int | None]]] = defaultdict(list)
    for number, (node, index) in enumerate(zip(events.nodes, indices)):
        groups[names.group(index, number)].append((node, index))
    layers = [_layer(parts, file, optimized, origins, names) for parts in groups.values()]
    ran = {index for index in indices if index is not None}
    not_run = {names.of_file(index): FOLDED for index in origins.folded}
    not_run |= {names.of_file(index): REMOVED for index in origins.removed}
    for place, members in origins.of.items():
        if place not in ran:
            not_run |= {names.of_file(index): REMOVED for index in members}
    runs = tuple((start / 1e3, time / 1e3) for start, time in zip(events.starts_us, events.times_us))
    return Profile(tuple(layers), runs, not_run)


class _Names:
    """Names of nodes, and which of them are shown as one layer."""

    def __init__(self, file: Model, optimized: Model, origins: Origins) -> None:
        self._file, self._optimized, self._origins = file, optimized, origins
        self._makers = {name: i for i, node in enumerate(optimized.nodes) for name in node.outputs if name}
        self._file_makers = {name: node for node in file.nodes for name in node.outputs}
        self._op_of_body = {place: op for op, body in origins.bodies.items() for place in body}

    def group(self, index: int | None, number: int) -> object:
        """A key that the nodes of a temporal op share; ``number`` is that of the event."""
        if index is None:
            return ("event", number)
        if (op := self._op_of_body.get(index)) is not None:
            return ("body", op)
        return lowered_op_of(self._optimized.nodes[index]) or ("node", index)

    def body(self, index: int | None) -> int | None:
        """The op of the file in whose function body the node is."""
        return None if index is None else self._op_of_body.get(index)

    def of_file(self, index: int) -> str:
        node = self._file.nodes[index]
        return f"{node.name or node.outputs[0]} ({node.op_type})"

    def of_layer(self, indices: Sequence[int], members: Sequence[int]) -> str:
        """The layers that the ``members`` of the file are of, such as ``features.3: shift + conv.0``."""
        nodes = [self._file.nodes[member] for member in members]
        if paths := list(dict.fromkeys(filter(None, (self._path(node) for node in nodes)))):
            return joined(paths)
        first = self._optimized.nodes[indices[0]]
        if path := lowered_op_of(first):
            return path
        if nodes:
            named = [node for node in nodes if node.name and first.name.startswith(node.name)]
            heavy = [node for node in nodes if node.op_type in WITH_MACS]
            main = (heavy or named or nodes[-1:])[0]
            return main.name or main.outputs[0]
        makers = [self._makers[name] for name in first.inputs if name in self._makers]
        if not makers or makers[0] in indices:
            return first.name or first.op_type
        before = self.of_layer(makers[:1], self._origins.of.get(makers[0], []))
        return before if before.startswith("after ") else f"after {before}"

    def _path(self, node: Node) -> str:
        weights = []
        for name in node.inputs:
            while name not in self._file.weights and name in self._file_makers:
                maker = self._file_makers[name]
                if maker.op_type not in ("DequantizeLinear", "QuantizeLinear") or not maker.inputs:
                    break
                name = maker.inputs[0]
            if name in self._file.weights:
                weights.append(name)
        return path_of(node, weights)


def joined(paths: Sequence[str]) -> str:
    """``["a.b.shift", "a.b.conv.0"]`` as ``a.b: shift + conv.0``."""
    if len(paths) == 1:
        return paths[0]
    parts = [path.split(".") for path in paths]
    common = 0
    while len({tuple(part[: common + 1]) for part in parts}) == 1 and all(
        len(part) > common + 1 for part in parts
    ):
        common += 1
    rest = " + ".join(".".join(part[common:]) for part in parts)
    return f"{'.'.join(parts[0][:common])}: {rest}" if common else rest


def _layer(
    parts: list[tuple[NodeEvents, int | None]],
    file: Model,
    optimized: Model,
    origins: Origins,
    names: _Names,
) -> LayerTimes:
    events = [event for event, _ in parts]
    indices = [index for _, index in parts if index is not None]
    members = sorted({member for index in indices for member in origins.of.get(index, ())})
    nodes = [optimized.nodes[index] for index in indices]
    body = names.body(parts[0][1])
    counted = [costs.macs_of(file, file.nodes[member]) for member in members]
    macs = None if None in counted or not indices else sum(filter(None, counted))
    executed = macs
    if len(nodes) == 1 and (fewer := costs.winograd_macs(nodes[0], optimized, events[0])) is not None:
        executed = fewer
    sizes = [
        costs.bytes_of(event, None if index is None else optimized.nodes[index], optimized)
        for event, index in parts
    ]
    runs = range(len(events[0].times_us))
    return LayerTimes(
        name=names.of_layer(indices, members) if indices else events[0].name,
        op=file.nodes[body].op_type if body is not None else _ops(events),
        provider=" and ".join(dict.fromkeys(event.provider for event in events)),
        ran_by=BODY if body is not None else KERNEL if any(n.domain == DOMAIN for n in nodes) else RUNTIME,
        nodes=tuple(names.of_file(member) for member in members),
        macs=macs,
        executed_macs=executed,
        arithmetic=costs.arithmetic_of(events[0].op),
        read_bytes=sum(read for read, _ in sizes),
        written_bytes=sum(written for _, written in sizes),
        samples_ms=tuple(sum(event.times_us[run] for event in events) / 1e3 for run in runs),
        spans_ms=tuple(
            tuple((event.starts_us[run] / 1e3, event.times_us[run] / 1e3) for event in events) for run in runs
        ),
    )


def _ops(events: Sequence[NodeEvents]) -> str:
    counts = Counter(event.op for event in events)
    return ", ".join(op if count == 1 else f"{count} {op}" for op, count in counts.items())

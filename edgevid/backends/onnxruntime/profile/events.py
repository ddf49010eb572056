"""The events of ONNX Runtime's profiler: the times of nodes, by run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevid.onnxfile.graph import Model

NODE_SUFFIX, RUN = "_kernel_time", "model_run"


@dataclass
class NodeEvents:
    """What the profiler says about one node: a start and a duration in microseconds for each run, and sizes.

    ``activation_bytes`` are of the inputs that are no constants, ``output_bytes`` of the outputs.
    """

    name: str
    op: str
    provider: str
    activation_bytes: int
    output_bytes: int
    input_shapes: list[tuple[int, ...]]
    output_shapes: list[tuple[int, ...]]
    starts_us: list[float] = field(default_factory=list)
    times_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Events:
    """The runs of a session, and its nodes in the order in which they first ran."""

    starts_us: list[float]
    times_us: list[float]
    nodes: list[NodeEvents]


def read_events(path: Path, skip: int) -> Events:
    """The events in the profiler's file, without those of the first ``skip`` runs.

    The nodes of a subgraph are part of the node that has it. Nodes that did not run in every run, as those of
    a branch, are left out.
    """
    events = json.loads(path.read_text("utf-8"))
    runs = [event for event in events if event["name"] == RUN][skip:]
    if not runs:
        return Events([], [], [])
    nodes: dict[tuple[str, str], NodeEvents] = {}
    number, end = 0, -1
    in_order = [event for event in events if event["cat"] == "Node" and event["name"].endswith(NODE_SUFFIX)]
    for event in sorted(in_order, key=lambda event: (event["ts"], -event["dur"])):
        while number < len(runs) and event["ts"] >= runs[number]["ts"] + runs[number]["dur"]:
            number, end = number + 1, -1
        if number == len(runs):
            break
        if event["ts"] < runs[number]["ts"] or event["ts"] < end:  # an earlier run, or inside a subgraph
            continue
        end = event["ts"] + event["dur"]
        key = (event["name"], event["args"].get("node_index", ""))
        if key not in nodes:
            nodes[key] = _node(event)
        nodes[key].starts_us.append(event["ts"])
        nodes[key].times_us.append(event["dur"])
    return Events(
        [run["ts"] for run in runs],
        [run["dur"] for run in runs],
        [node for node in nodes.values() if len(node.times_us) == len(runs)],
    )


def _node(event: dict[str, Any]) -> NodeEvents:
    args = event["args"]
    return NodeEvents(
        event["name"].removesuffix(NODE_SUFFIX),
        args.get("op_name", ""),
        args.get("provider", ""),
        int(args.get("activation_size", 0)),
        int(args.get("output_size", 0)),
        _shapes(args.get("input_type_shape", ())),
        _shapes(args.get("output_type_shape", ())),
    )


def _shapes(values: Any) -> list[tuple[int, ...]]:
    return [tuple(shape) for value in values for shape in value.values()]


def indices_in(model: Model, nodes: list[NodeEvents]) -> list[int | None]:
    """The index in ``model`` of each node of the profiler, which calls a node without a name by its op type.

    Nodes of one name are matched in their order. None for a node that is not in the model.
    """
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, node in enumerate(model.nodes):
        by_name[node.name, node.op_type].append(index)
    used: Counter[tuple[str, str]] = Counter()
    indices: list[int | None] = []
    for node in nodes:
        key = (node.name, node.op) if (node.name, node.op) in by_name else ("", node.op)
        matches, number = by_name.get(key, []), used[key]
        indices.append(matches[number] if number < len(matches) else None)
        used[key] += 1
    return indices

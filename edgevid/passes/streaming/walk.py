"""The progress of the conversion: the timeline of each value, and the states added so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.passes.layer_names import layer_of
from edgevid.passes.streaming.timeline import NotStreamableError, Timeline
from edgevid.specs import StateSpec


class Walk:
    """The timelines of the values visited so far, and the states added."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph, self.constants = graph, ConstantValues()
        self.timelines: dict[ir.Value, Timeline] = {}
        self.refused: dict[ir.Value, str] = {}
        self.means: set[ir.Node] = set()
        self.states: list[StateSpec] = []
        self.next_states: dict[ir.Value, ir.Value] = {}
        self.looks_ahead: list[tuple[ir.Node, int]] = []
        self._clip_shapes: dict[ir.Value, tuple[int, ...]] = {}
        self._counter: ir.Value | None = None

    def clip_shape(self, value: ir.Value) -> tuple[int, ...]:
        """The shape that ``value`` had in the graph of a clip."""
        if value in self._clip_shapes:
            return self._clip_shapes[value]
        if value.shape is None or not value.shape.is_static():
            raise NotStreamableError("has a result without a fixed shape")
        return tuple(value.shape.numpy())

    def settle(self, value: ir.Value, timeline: Timeline, clip_shape: Sequence[int]) -> None:
        """Give ``value`` the shape of one frame, and record its timeline."""
        self.timelines[value], self._clip_shapes[value] = timeline, tuple(clip_shape)
        value.shape = ir.Shape(timeline.one_frame(clip_shape))

    def add_state(self, like: ir.Value, shape: Sequence[int], node: ir.Node) -> ir.Value:
        """Add a state for ``node``, initially zeros, of the type of ``like``; call ``keep`` afterwards."""
        index = len(self.states)
        spec = StateSpec(
            f"state_{index}", f"next_state_{index}", tuple(map(int, shape)), str(like.dtype.numpy()),
            op=layer_of(node) or node.name or "",
        )  # fmt: skip
        self.states.append(spec)
        value = ir.Value(name=spec.input, shape=ir.Shape(spec.shape), type=like.type)
        self.graph.inputs.append(value)
        return value

    def keep(self, state: ir.Value, value: ir.Value, build: Builder) -> None:
        """Make ``value`` the next ``state``."""
        if value.is_graph_input() or value in self.timelines:
            value = build.node("Identity", [value], value.shape.numpy(), value.type)
        value.name = f"next_{state.name}"
        self.next_states[state] = value

    def frames_before(self, like: ir.Value, node: ir.Node) -> ir.Value:
        """The number of frames before this one, ``(1,)``: one state, shared by all its readers."""
        if self._counter is None:
            first = next(iter(self.graph))
            build = Builder(self.graph, first, "frames_before")
            self._counter = self.add_state(like, (1,), node)
            unit = build.constant(np.ones(1, like.dtype.numpy()))
            self.keep(self._counter, build.node("Add", [self._counter, unit], (1,), like.type), build)
        return self._counter

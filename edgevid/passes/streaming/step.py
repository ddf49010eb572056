"""The operations that the rules use to convert one node of a clip's graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.streaming.evaluate import evaluate
from edgevid.passes.streaming.frame_constants import of_frame
from edgevid.passes.streaming.timeline import FIRST, NotStreamableError, Timeline
from edgevid.passes.streaming.walk import Walk


class Step:
    """The conversion of one node of the clip's graph to the graph of a frame."""

    def __init__(self, walk: Walk, node: ir.Node) -> None:
        self.walk, self.node = walk, node
        self.build = Builder(walk.graph, node, f"{node.name or node.op_type}/stream")
        self.timelines = [None if value is None else walk.timelines.get(value) for value in node.inputs]

    def ints(self, index: int, name: str = "") -> tuple[int, ...] | None:
        """The constant integers of an input, or of the attribute ``name`` if it is omitted; else None."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            attribute = self.node.attributes.get(name)
            return None if attribute is None else tuple(np.atleast_1d(attribute.value).tolist())
        array = self.walk.constants.of(value)
        if array is None:
            raise NotStreamableError("takes its shape or positions from the frames")
        return tuple(int(number) for number in array.reshape(-1))

    def shape(self, index: int = 0) -> tuple[int, ...]:
        return self.walk.clip_shape(self.node.inputs[index])

    def result_shape(self, index: int = 0) -> tuple[int, ...]:
        return self.walk.clip_shape(self.node.outputs[index])

    @property
    def only(self) -> Timeline:
        """The timeline of the first input; the others must be the same for all frames."""
        if self.timelines[0] is None or any(self.timelines[1:]):
            raise NotStreamableError("computes from the frames a parameter that must be constant")
        return self.timelines[0]

    def keep_node(self, timeline: Timeline, *, past_is_known: bool = False) -> None:
        """Keep the node; its outputs have this timeline."""
        if not past_is_known:
            timeline = replace(timeline, past=self.past() if timeline.lead > 0 else None)
        self._note(timeline)
        for value in self.node.outputs:
            self.walk.settle(value, timeline, self.walk.clip_shape(value))

    def replace_node(self, value: ir.Value, timeline: Timeline) -> None:
        """Replace the only output of the node by ``value``."""
        clip_shape = self.result_shape()
        self._note(timeline)
        self.walk.settle(value, timeline, clip_shape)
        self.build.replace_anchor(value)

    def _note(self, timeline: Timeline) -> None:
        leads = [input_timeline.lead for input_timeline in self.timelines if input_timeline is not None]
        if leads and timeline.lead < min(0, *leads):
            self.walk.looks_ahead.append((self.node, -timeline.lead))

    def node_of(
        self, op_type: str, inputs: Sequence[ir.Value], shape: Sequence[int], **attributes
    ) -> ir.Value:
        return self.build.node(op_type, inputs, shape, self.node.inputs[0].type, **attributes)

    def past(self) -> np.ndarray | str | None:
        """The past of the node's output: its operator applied to the pasts of its inputs."""
        pasts = [t.past for t in self.timelines if t is not None and t.lead > 0]
        if len(pasts) < sum(t is not None for t in self.timelines) or any(p is None for p in pasts):
            return None
        if all(isinstance(past, str) for past in pasts):
            return FIRST
        if any(isinstance(past, str) for past in pasts):
            return None
        inputs: list[np.ndarray | None] = []
        for index, value in enumerate(self.node.inputs):
            timeline = self.timelines[index] if index < len(self.timelines) else None
            if value is None:
                inputs.append(None)
            elif timeline is not None:
                shape = timeline.one_frame(self.walk.clip_shape(value))
                inputs.append(np.broadcast_to(timeline.past, shape).astype(value.dtype.numpy()))
            elif (array := self.walk.constants.of(value)) is not None:
                inputs.append(array)
            else:
                return None
        return evaluate(self.node, inputs)

    def align(self, rows: int = 0) -> None:
        """Delay the inputs so that all of them hold the same frame; keep the node.

        The last ``rows`` axes are not broadcast, such as those of matrices.
        """
        rank = len(self.result_shape())
        places = {
            index: timeline.axis + rank - len(self.shape(index))
            for index, timeline in enumerate(self.timelines)
            if timeline is not None
        }
        timelines = {index: self.timelines[index].at(axis) for index, axis in places.items()}
        first = next(iter(timelines.values()))
        if len({(t.axis, t.outer, t.length, t.inner) for t in timelines.values()}) > 1:
            if len({t.axis for t in timelines.values()}) > 1:
                raise NotStreamableError("combines each frame with every other")
            raise NotStreamableError("combines frames with another number of frames, or with a single one")
        lead = min(timeline.lead for timeline in timelines.values())
        for index, timeline in timelines.items():
            self.node.replace_input_with(index, self.delayed(index, timeline.lead - lead))
        for index, value in enumerate(self.node.inputs):
            if value is not None and index not in timelines and first.axis < rank - rows:
                self.fixed(index, first, rank)
        past = self.past() if lead > 0 else None
        self.keep_node(replace(first, lead=lead, past=past), past_is_known=True)

    def require_start_at_frame_0(self) -> None:
        """For operators that accumulate all past frames."""
        for timeline in self.timelines:
            if timeline is not None and timeline.lead != 0:
                raise NotStreamableError(
                    "starts before or after the first frame, on padded or cropped frames"
                )

    def ring(self, x: ir.Value, timeline: Timeline, reach: int, zeros_before: bool) -> ir.Value:
        """``x`` with the ``reach`` frames before it in front of it, along its time axis.

        Before the first entry come zeros if ``zeros_before``; otherwise, they must never be read.
        """
        if timeline.outer != 1 or timeline.inner != 1:
            raise NotStreamableError("reads other frames on an axis that counts something else as well")
        shape, axis = tuple(x.shape.numpy()), timeline.axis
        state_shape = (*shape[:axis], reach, *shape[axis + 1 :])
        state = self.walk.add_state(x, state_shape, self.node)
        past_frames = self._with_past(state, x, timeline, zeros_before)
        window_shape = (*shape[:axis], reach + 1, *shape[axis + 1 :])
        window = self.node_of("Concat", [past_frames, x], window_shape, axis=axis)
        self.walk.keep(state, self.cut(window, axis, 1, reach + 1), self.build)
        return window

    def cut(self, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        shape = list(x.shape.numpy())
        shape[axis] = end - start
        bounds = [self.build.ints([number]) for number in (start, end, axis)]
        return self.node_of("Slice", [x, *bounds], shape)

    def delayed(self, index: int, by: int) -> ir.Value:
        """Input ``index`` as it was ``by`` frames ago."""
        x, timeline = self.node.inputs[index], self.timelines[index]
        if by == 0:
            return x
        window = self.ring(x, timeline, by, zeros_before=False)
        return self.cut(window, timeline.axis, 0, 1)

    def padded(
        self,
        x: ir.Value,
        timeline: Timeline,
        before: int,
        after: int,
        past: np.ndarray | str | None,
    ) -> tuple[ir.Value, Timeline]:
        """``x`` with entries of ``past`` in front, in place of frames that have not arrived yet."""
        if before > 0 and timeline.lead < 0:
            if not isinstance(past, np.ndarray):
                raise NotStreamableError("repeats a frame that a stream does not have yet")
            x = self.from_frame(-timeline.lead, past, x)
        return x, timeline.padded(before, after, past)

    def from_frame(self, start: int, before: np.ndarray | ir.Value, x: ir.Value) -> ir.Value:
        """``before`` for the first ``start`` frames, then ``x``."""
        dtype, shape = x.dtype.numpy(), x.shape.numpy()
        if start < 1:
            return x
        count = self.walk.frames_before(x, self.node)
        if start > 1:
            offset = self.build.constant(np.array([1 - start], dtype))
            count = self.node_of("Add", [count, offset], (1,))
        bounds = [self.build.constant(np.array(number, dtype)) for number in (0, 1)]
        unit = self.build.constant(np.ones(1, dtype))
        valid = self.node_of("Clip", [count, *bounds], (1,))
        y = self.node_of("Mul", [x, valid], shape)
        if isinstance(before, np.ndarray):
            if not before.any():
                return y
            before = self.build.constant(np.broadcast_to(before, shape).astype(dtype))
        invalid = self.node_of("Sub", [unit, valid], (1,))
        return self.node_of("Add", [y, self.node_of("Mul", [before, invalid], shape)], shape)

    def _with_past(self, state: ir.Value, x: ir.Value, timeline: Timeline, zeros_before: bool) -> ir.Value:
        """The state; at the first frame, the entries before it, unless they are zeros."""
        reach, axis = state.shape[timeline.axis], timeline.axis
        count = min(reach, timeline.lead)
        if count <= 0:
            return state
        if timeline.past is None:
            raise NotStreamableError("reads frames before the first that another layer computed from padding")
        zeros = reach - count if zeros_before else 0
        if isinstance(timeline.past, str):
            if zeros:
                raise NotStreamableError("reads both a repeated first frame and zeros before it")
            initial = self.node_of("Concat", [x] * reach, state.shape.numpy(), axis=axis) if reach > 1 else x
        else:
            array = np.zeros(state.shape.numpy(), state.dtype.numpy())
            place = [slice(None)] * array.ndim
            place[axis] = slice(reach - count, None)
            array[tuple(place)] = timeline.past
            if not array.any():
                return state
            initial = self.build.constant(array)
        return self.or_at_first(state, initial)

    def or_at_first(self, state: ir.Value, initial: ir.Value) -> ir.Value:
        """``initial`` at the first frame, then the state, which is zeros until then."""
        return self.from_frame(1, initial, state)

    def fixed(self, index: int, timeline: Timeline, rank: int) -> None:
        """Replace the constant input ``index`` by its entry for a frame, broadcast to ``rank`` axes."""
        value = self.node.inputs[index]
        shape = self.walk.clip_shape(value)
        axis = timeline.axis - (rank - len(shape))
        entries = timeline.outer * timeline.length * timeline.inner
        if axis < 0 or shape[axis] == 1 or shape[axis] != entries or timeline.length == 1:
            return
        array = self.walk.constants.of(value)
        if array is None:
            raise NotStreamableError("combines each frame of the clip with another computed value")
        entry = of_frame(
            array, timeline.at(axis), self.build, lambda: self.walk.frames_before(value, self.node)
        )
        self.node.replace_input_with(index, entry)

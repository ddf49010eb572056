"""Layout(Conv(Layout(x), w)) -> TemporalConv(x, w), for a channel-wise convolution over the frames of a clip.

STM and ACTION-Net permute ``(N*T, C, H, W)`` to ``(N*H*W, C, T)`` for a grouped ``Conv1d``, and back. Any
sequence of permutes and a convolution of one, two or three dimensions match, provided that each tap by itself
moves every channel of the source by whole frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.ops.functions import attach_functions
from edgevid.ops.temporal_conv import offsets_of
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.passes.recognize.data_movement import MOVEMENTS, NotDataMovementError, Operands, channel_filters
from edgevid.passes.recognize.origins import Factor, Origins, aligned
from edgevid.specs import PassReport

LAYOUT = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity")
FRAME_RANK = 4


def recognize_temporal_conv(graph: ir.Model) -> PassReport:
    """Replace each channel-wise convolution over time; report why other convolutions over time stay."""
    constants, matched, refused = ConstantValues(), 0, []
    for conv in [node for node in graph.graph if node.op_type == "Conv" and node.domain == ""]:
        outcome = ""
        for lines in _lines_of(conv, constants):
            outcome = lines.refusal() or lines.result()
            if isinstance(outcome, ir.Value):
                lines.replace(graph.graph, outcome)
                matched += 1
                break
        if outcome and isinstance(outcome, str):
            refused.append(f"{conv.name}: {outcome}")
    if matched:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    # The spelling in the manifests of bundles.
    return PassReport("recognise_temporal_conv", matched, tuple(refused))


def _lines_of(conv: ir.Node, constants: ConstantValues) -> Iterator[_Lines]:
    """For a convolution along one axis, the candidate source tensors before its permutes, nearest first."""
    kernel, nodes = conv.inputs[1].shape, []
    axes = [axis for axis, size in enumerate(kernel or ()) if axis > 1 and size != 1]
    if len(axes) != 1 or not kernel.is_static():
        return
    source, pads = _padded(conv, constants)
    while (node := source.producer()) is not None and _is_layout(node, constants):
        source, nodes = node.inputs[0], [node, *nodes]
        permuted = any(node.op_type == "Transpose" for node in nodes)
        if permuted and source.shape is not None and source.shape.is_static():
            yield _Lines(conv, axes[0], pads, source, nodes, constants)


class _Lines:
    """A convolution of ``k`` taps along one axis, and the tensor of frames whose lines it convolves."""

    def __init__(
        self,
        conv: ir.Node,
        axis: int,
        pads: np.ndarray,
        source: ir.Value,
        nodes: list[ir.Node],
        constants: ConstantValues,
    ) -> None:
        self.conv, self.axis, self.source = conv, axis, source
        self._pads, self._constants = pads, constants
        self.origins = self._through(nodes, Origins.of_source(source.shape.numpy()))
        self.frames = self.origins.shape[axis]
        self.weight_shape = tuple(conv.inputs[1].shape.numpy())
        self.channels, self.taps = self.weight_shape[0], self.weight_shape[axis]

    def refusal(self) -> str:
        """Why it is not a channel-wise convolution over time with unchanged frame count; empty if it is."""
        if channel_filters(self.conv, self._constants) is None:
            if self.weight_shape[1] == 1 and self.conv.attributes.get_int("group", 1) == self.channels:
                return "its weights are computed, not constant"
            groups = self.conv.attributes.get_int("group", 1)
            return f"it mixes channels: {groups} groups for {self.channels} channels"
        for name in ("dilations", "strides"):
            if any(size != 1 for size in self.conv.attributes.get_ints(name, ())):
                return f"it has {name} other than 1"
        if self.taps % 2 == 0:
            return f"it has {self.taps} taps, an even number"
        if self._causal() is None:
            return f"its padding is not that of {self.taps} taps with as many output frames as input frames"
        return ""

    def _causal(self) -> bool | None:
        """Whether its padding is causal (True) or centered (False); None if it is neither."""
        before, after = self._pads[:, self.axis]
        if self._pads.sum() != before + after or self._pads.min() < 0:
            return None
        return {(self.taps // 2, self.taps // 2): False, (self.taps - 1, 0): True}.get((before, after))

    def result(self) -> ir.Value | str:
        """The first value after the convolution in the layout of the source; or why there is none."""
        if self.frames == 1:
            return "its lines have a single frame, so time cannot be distinguished from other axes"
        if not self._keeps_channels_together():
            return "it runs along another axis than time, or its filters are not in channel order"
        value, nodes = self.conv.outputs[0], []
        while True:
            if len(value.shape) in (FRAME_RANK, FRAME_RANK + 1) and self._moves_frames(value, nodes):
                return value
            readers = [use.node for use in value.uses()]
            if len(readers) != 1 or value.is_graph_output() or not _is_layout(readers[0], self._constants):
                return "its output does not have the layout of its input frames"
            nodes.append(readers[0])
            value = readers[0].outputs[0]

    def _keeps_channels_together(self) -> bool:
        """Whether channel c of the lines is channel c of frames ``(N*T, C, ...)``, and their axis is time.

        With equidistant channels, and each element in one line only, every line must start at channel 0.
        """
        channel, time = self.origins.merged(1).axes[1], self.origins.merged(self.axis).axes[self.axis]
        if self.origins.index.size != 1 or len(time) != 1:
            return False
        frame_size = time[0].step
        plane = frame_size // self.channels
        together = (Factor(self.channels, plane),) if self.channels > 1 else ()
        return channel == together and frame_size == plane * self.channels and plane > 0

    def _moves_frames(self, value: ir.Value, nodes: list[ir.Node]) -> bool:
        """Whether every tap moves whole frames of the source, by the tap's offset."""
        shape = tuple(value.shape.numpy())
        frame, batch = shape[1 - FRAME_RANK :], prod(shape[: 1 - FRAME_RANK])
        clips = (batch // self.frames, self.frames, *frame)
        if batch % self.frames or frame[0] != self.channels:
            return False
        if len(shape) > FRAME_RANK and shape != clips:
            return False
        in_clips = Origins.of_source(shape).reshape(clips)
        for offset in offsets_of(self.taps, self._causal()):
            actual = self._through(nodes, _shifted(self.origins, self.axis, offset))
            if not _equal(actual, _shifted(in_clips, 1, offset).reshape(shape)):
                return False
        return True

    def _through(self, nodes: list[ir.Node], origins: Origins) -> Origins:
        for node in nodes:
            origins = MOVEMENTS[node.op_type](Operands(node, {node.inputs[0]: origins}, self._constants))
        return origins

    def _bias(self) -> list[ir.Value]:
        """The bias; none if it is zeros, which torch's exporter writes for a convolution without bias."""
        bias = [value for value in self.conv.inputs[2:] if value is not None]
        array = self._constants.of(bias[0]) if bias else None
        return bias if array is None or array.any() else []

    def replace(self, graph: ir.Graph, result: ir.Value) -> None:
        """Replace ``result`` by a temporal convolution of the source."""
        build = Builder(graph, result.producer(), self.conv.name)
        shape, source = tuple(result.shape.numpy()), self.source
        frames_shape = (prod(shape[: 1 - FRAME_RANK]), *shape[1 - FRAME_RANK :])
        if tuple(source.shape.numpy()) != frames_shape:
            source = build.node("Reshape", [source, build.ints(frames_shape)], frames_shape, source.type)
        filters = channel_filters(self.conv, self._constants).reshape(self.channels, self.taps)
        new = ir.node(
            "TemporalConv",
            [source, build.constant(filters), *self._bias()],
            attributes={"frames": self.frames, "causal": int(self._causal())},
            domain=ops.DOMAIN,
            name=f"{self.conv.name}_temporal",
        )
        new.meta.update(self.conv.meta)
        convolved = new.outputs[0]
        convolved.name, convolved.type = f"{new.name}_result", source.type
        convolved.shape = ir.Shape(frames_shape)
        graph.insert_before(result.producer(), new)
        if shape != frames_shape:
            convolved = build.node("Reshape", [convolved, build.ints(shape)], shape, source.type)
        build.replace_anchor(convolved)


def _padded(conv: ir.Node, constants: ConstantValues) -> tuple[ir.Value, np.ndarray]:
    """The convolved tensor before its zero padding, and the pads: before and after, for each axis."""
    source, rank = conv.inputs[0], len(conv.inputs[1].shape)
    pads = np.zeros((2, rank), dtype=int)
    pads[:, 2:] = np.reshape(conv.attributes.get_ints("pads", [0] * 2 * (rank - 2)), (2, -1))
    node = source.producer()
    if node is None or node.op_type != "Pad" or node.domain != "":
        return source, pads
    operands = Operands(node, {}, constants)
    try:
        amounts, axes, fill = operands.numbers(1), operands.numbers(3, range(rank)), operands.numbers(2, 0)
    except NotDataMovementError:
        return source, pads
    if fill.any() or node.attributes.get_string("mode", "constant") != "constant":
        return source, pads
    pads[:, axes] += amounts.reshape(2, -1)
    return node.inputs[0], pads


def _is_layout(node: ir.Node, constants: ConstantValues) -> bool:
    """Whether ``node`` only changes the order or shape of its first input, by constant arguments."""
    if node.domain != "" or node.op_type not in LAYOUT:
        return False
    return all(constants.of(value) is not None for value in node.inputs[1:] if value is not None)


def _shifted(origins: Origins, axis: int, offset: int) -> Origins:
    """Replace each element by the one ``offset`` later along ``axis``, zeros beyond the ends."""
    size = origins.shape[axis]
    distance = min(abs(offset), size)
    if offset >= 0:
        return origins.take(axis, range(distance, size)).pad(axis, 0, distance)
    return origins.take(axis, range(size - distance)).pad(axis, distance, 0)


def _equal(first: Origins, second: Origins) -> bool:
    first, second = aligned([first, second])
    return bool((first.index == second.index).all())

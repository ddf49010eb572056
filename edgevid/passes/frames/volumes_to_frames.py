"""Conv3d(volume) -> Conv2d(FrameStack(frames)): 3D CNNs on (N, C, T, H, W) to 2D CNNs on (N*T, C, H, W).

Runtimes have fast layouts for 2-D convolutions only. A (1, k, k) convolution becomes a 2-D one of each frame;
all others read a stack of frames. The operators between convolutions (batch norm, activations, pools, sums,
concatenations, selections of frames) run on frames too, so that transposes remain only at the inputs, at the
outputs, and around operators that cannot be converted.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.passes.frames.conversions import CONVERSIONS
from edgevid.passes.frames.values import Frames, NotConvertibleError, Operands
from edgevid.specs import PassReport

VOLUME_RANK = 5
SWAPPED = (0, 2, 1, 3, 4)
"""The permutation from clips ``(N, T, C, H, W)`` to volumes, and back."""

PIXELS = (3, 4)


def volumes_to_frames(graph: ir.Model) -> PassReport:
    """Convert the 3-D convolutions and the operators between them; report those that stay, and why.

    The graph does not change if more than half of its 3-D convolutions cannot be converted.
    """
    convolutions = [node for node in graph.graph if node.op_type == "Conv" and _is_volume(node.outputs[0])]
    if not convolutions:
        return PassReport("volumes_to_frames", 0)
    constants = ConstantValues()
    reasons = {node: _refusal(node, constants) for node in convolutions}
    refused = tuple(f"{node.name}: {reason}" for node, reason in reasons.items() if reason)
    if 2 * len(refused) > len(convolutions):
        return PassReport("volumes_to_frames", 0, refused)
    rewritten, walk = len(convolutions) - len(refused), _Walk(graph.graph, constants)
    for node in list(graph.graph):
        walk.visit(node)
    walk.return_to_volumes()
    refused += tuple(walk.refusals)
    common.RemoveUnusedNodesPass()(graph)
    attach_functions(graph)
    return PassReport("volumes_to_frames", rewritten, refused)


def _refusal(node: ir.Node, constants: ConstantValues) -> str | None:
    if not _is_volume(node.inputs[0]):
        return "its input has no fixed shape"
    try:
        CONVERSIONS["Conv"].check(Operands(node, constants))
    except NotConvertibleError as error:
        return str(error)
    return None


class _Walk:
    """Visits the nodes in order and converts those that it can."""

    def __init__(self, graph: ir.Graph, constants: ConstantValues) -> None:
        self._graph, self._constants = graph, constants
        self._frames: dict[ir.Value, Frames] = {}
        self._rewritten: list[ir.Node] = []
        self.refusals: list[str] = []

    def visit(self, node: ir.Node) -> None:
        if node.domain != "":
            return
        build = Builder(self._graph, node, f"{node.name}/frames")
        is_frames = node.inputs[0] in self._frames if node.inputs else False
        if is_frames and node.op_type == "Transpose" and _perm(node) == SWAPPED:
            self._end_in_clips(node, build)
        elif is_frames and _averages_pixels(node, self._constants):
            self._shrink(node, build)
        elif node.op_type in CONVERSIONS and _is_volume(node.outputs[0]):
            self._rewrite(node, build)

    def _rewrite(self, node: ir.Node, build: Builder) -> None:
        conversion = CONVERSIONS[node.op_type]
        if node.op_type != "Conv" and not any(value in self._frames for value in node.inputs):
            return
        operands = Operands(node, self._constants)
        try:
            conversion.check(operands)
        except NotConvertibleError as error:
            if node.op_type != "Conv":
                self.refusals.append(f"{node.name}: {error}")
            return
        frames = [self.frames_of(value, build) for value in conversion.volumes(operands)]
        self._frames[node.outputs[0]] = conversion.build(operands, frames, build)
        self._rewritten.append(node)

    def frames_of(self, volume: ir.Value, build: Builder) -> Frames:
        if volume not in self._frames:
            clips, channels, count, *pixels = volume.shape.numpy()
            producer = volume.producer()
            if producer is not None and producer.op_type == "Transpose" and _perm(producer) == SWAPPED:
                by_clip = producer.inputs[0]
            else:
                shape = (clips, count, channels, *pixels)
                by_clip = build.node("Transpose", [volume], shape, volume.type, perm=SWAPPED)
            shape = (clips * count, channels, *pixels)
            value = build.node("Reshape", [by_clip, build.ints(shape)], shape, volume.type)
            self._frames[volume] = Frames(value, clips, count)
        return self._frames[volume]

    def return_to_volumes(self) -> None:
        """Transpose the values that other nodes still read, and remove the converted nodes."""
        rewritten = set(self._rewritten)
        for node in reversed(self._rewritten):
            volume = node.outputs[0]
            readers = [use.node for use in volume.uses() if use.node not in rewritten]
            if readers or volume.is_graph_output():
                build = Builder(self._graph, node, f"{node.name}/volume")
                build.replace_anchor(_volume(self._frames[volume], build))
        for node in reversed(self._rewritten):
            if node.graph is not None:
                self._graph.remove(node, safe=True)

    def _end_in_clips(self, node: ir.Node, build: Builder) -> None:
        build.replace_anchor(_clips(self._frames[node.inputs[0]], build))

    def _shrink(self, node: ir.Node, build: Builder) -> None:
        """Average the pixels of each frame first: only the means become a volume again."""
        frames = self._frames[node.inputs[0]]
        count, channels, *_ = frames.value.shape.numpy()
        mean = build.node("GlobalAveragePool", [frames.value], (count, channels, 1, 1), frames.value.type)
        volume = _volume(Frames(mean, frames.clips, frames.count), build)
        if node.op_type == "AveragePool":  # its window has the size of the volume, not of the means
            result = node.outputs[0]
            build.replace_anchor(build.node("GlobalAveragePool", [volume], result.shape.numpy(), result.type))
        else:
            node.replace_input_with(0, volume)


def _clips(frames: Frames, build: Builder) -> ir.Value:
    _, *frame = frames.value.shape.numpy()
    shape = (frames.clips, frames.count, *frame)
    return build.node("Reshape", [frames.value, build.ints(shape)], shape, frames.value.type)


def _volume(frames: Frames, build: Builder) -> ir.Value:
    clips = _clips(frames, build)
    shape = [clips.shape[axis] for axis in SWAPPED]
    return build.node("Transpose", [clips], shape, clips.type, perm=SWAPPED)


def _perm(node: ir.Node) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints("perm", ()))


def _averages_pixels(node: ir.Node, constants: ConstantValues) -> bool:
    """Whether a node averages a volume over its pixels, or its pixels and frames, and keeps the rank."""
    if node.op_type == "GlobalAveragePool":
        return True
    if node.op_type == "AveragePool":
        window = tuple(node.attributes.get_ints("kernel_shape", ()))
        return window == node.inputs[0].shape.numpy()[2:] and not any(node.attributes.get_ints("pads", ()))
    if node.op_type != "ReduceMean" or not node.attributes.get_int("keepdims", 1) or len(node.inputs) < 2:
        return False
    axes = constants.of(node.inputs[1])
    return axes is not None and {int(axis) % VOLUME_RANK for axis in axes} in ({*PIXELS}, {2, *PIXELS})


def _is_volume(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static() and len(value.shape) == VOLUME_RANK

"""Conv3d(volume) -> Conv2d(FrameStack(frames)): networks of volumes (N, C, T, H, W) on frames (N*T, C, H, W).

Runtimes have fast layouts for 2-D convolutions alone. A convolution of one frame, (1, k, k), is one of
frames; (k, 1, 1), and any other, reads a stack of frames. What stands between convolutions (batch norm,
activations, pools, sums, concatenations, choices of frames) is done on frames too, so that a volume is
transposed only where the network begins, where it ends, and around what has no form on frames.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.passes.frames.forms import FORMS
from edgevid.passes.frames.values import Frames, NoFrameFormError, Operands
from edgevid.specs import PassReport

VOLUME_RANK = 5
SWAPPED = (0, 2, 1, 3, 4)
"""Clips ``(N, T, C, H, W)`` to volumes, and back."""

PIXELS = (3, 4)


def volumes_to_frames(graph: ir.Model) -> PassReport:
    """Rewrite the convolutions of volumes, and what is between them; say why one was left.

    A graph is left as it is if more of them would have to stay than can go.
    """
    convolutions = [node for node in graph.graph if node.op_type == "Conv" and _is_volume(node.outputs[0])]
    if not convolutions:
        return PassReport("volumes_to_frames", 0)
    constants = ConstantValues()
    reasons = {node: _why_not(node, constants) for node in convolutions}
    refused = tuple(f"{node.name}: {why}" for node, why in reasons.items() if why)
    if 2 * len(refused) > len(convolutions):
        return PassReport("volumes_to_frames", 0, refused)
    rewritten, walk = len(convolutions) - len(refused), _Walk(graph.graph, constants)
    for node in list(graph.graph):
        walk.visit(node)
    walk.return_to_volumes()
    refused += tuple(walk.left)
    common.RemoveUnusedNodesPass()(graph)
    attach_functions(graph)
    return PassReport("volumes_to_frames", rewritten, refused)


def _why_not(node: ir.Node, constants: ConstantValues) -> str | None:
    if not _is_volume(node.inputs[0]):
        return "its input has no fixed shape"
    try:
        FORMS["Conv"].check(Operands(node, constants))
    except NoFrameFormError as error:
        return str(error)
    return None


class _Walk:
    """Gives each node, in order, its form on frames where it has one."""

    def __init__(self, graph: ir.Graph, constants: ConstantValues) -> None:
        self._graph, self._constants = graph, constants
        self._frames: dict[ir.Value, Frames] = {}
        self._rewritten: list[ir.Node] = []
        self.left: list[str] = []

    def visit(self, node: ir.Node) -> None:
        if node.domain != "":
            return
        build = Builder(self._graph, node, f"{node.name}/frames")
        known = node.inputs[0] in self._frames if node.inputs else False
        if known and node.op_type == "Transpose" and _perm(node) == SWAPPED:
            self._end_in_clips(node, build)
        elif known and _averages_pixels(node, self._constants):
            self._shrink(node, build)
        elif node.op_type in FORMS and _is_volume(node.outputs[0]):
            self._rewrite(node, build)

    def _rewrite(self, node: ir.Node, build: Builder) -> None:
        form = FORMS[node.op_type]
        if node.op_type != "Conv" and not any(value in self._frames for value in node.inputs):
            return
        given = Operands(node, self._constants)
        try:
            form.check(given)
        except NoFrameFormError as error:
            if node.op_type != "Conv":
                self.left.append(f"{node.name}: {error}")
            return
        frames = [self.frames_of(value, build) for value in form.volumes(given)]
        self._frames[node.outputs[0]] = form.build(given, frames, build)
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
        """Transpose what someone else still reads, and take away the nodes that were rewritten."""
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
        """The mean of pixels is the mean of each frame's: only that goes back to being a volume."""
        frames = self._frames[node.inputs[0]]
        count, channels, *_ = frames.value.shape.numpy()
        mean = build.node("GlobalAveragePool", [frames.value], (count, channels, 1, 1), frames.value.type)
        volume = _volume(Frames(mean, frames.clips, frames.count), build)
        if node.op_type == "AveragePool":  # its window has the size of the volume that it no longer reads
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
    """Whether a node gives the mean over all pixels, and frames perhaps, of a volume, its rank kept."""
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

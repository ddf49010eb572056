"""Streaming, lowering, fp16 and opset 13 keep what the network computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from edgevid import ops
from edgevid.errors import ExportError
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.lower import lowering
from edgevid.passes.remove_no_ops import remove_no_ops
from edgevid.passes.streaming.to_streaming import to_streaming
from edgevid.passes.to_fp16 import to_fp16
from edgevid.passes.to_opset_13 import to_opset_13
from edgevid.passes.verify import verify
from edgevid.zoo.layers.shift import temporal_shift

pytestmark = pytest.mark.slow


class Shifting(nn.Module):
    """Two shifts with a convolution between them; the first of fold 2, the second of a given fold."""

    def __init__(self, directions: tuple[int, int], fold: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(5, 6, 3, padding=1)
        self.directions, self.fold = directions, fold

    def frames_out(self, clip):
        frames = clip.shape[1]
        x = temporal_shift(clip.flatten(0, 1), frames, 2, *self.directions)
        x = temporal_shift(torch.relu(self.conv(x)), frames, self.fold, *self.directions)
        return x.mean((2, 3)).unflatten(0, clip.shape[:2])

    def forward(self, clip):
        return self.frames_out(clip).mean(1)


def clip_of(clips: int, frames: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((clips, frames, 5, 6, 6), dtype=np.float32)


def traced(network: nn.Module, clips: int, frames: int) -> ir.Model:
    graph = trace(network.eval(), torch.zeros(clips, frames, 5, 6, 6))
    run_passes(graph, STANDARD)
    return graph


def session(graph: ir.Model) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())


def eager(network: nn.Module, clip: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(clip)).numpy()


def temporal_nodes(graph: ir.Model) -> int:
    return sum(node.domain == ops.DOMAIN for node in graph.graph)


def test_temporal_ops_stay_nodes_with_the_name_of_their_module():
    graph = trace(Shifting((1, -1)).eval(), torch.zeros(1, 4, 5, 6, 6))
    names = [node.name for node in graph.graph if node.domain == ops.DOMAIN]
    assert len(names) == 2
    assert len(set(names)) == 2
    assert ("edgevid", "TemporalShift", "") in graph.functions


@pytest.mark.parametrize("directions", [(1, -1), (-1, 1), (-1, 0), (1, 0)])
@pytest.mark.parametrize(("clips", "frames"), [(1, 4), (1, 1), (3, 4), (2, 1)])
def test_lowering_for_tensorrt_preserves_the_outputs(directions, clips, frames):
    network, clip = Shifting(directions), clip_of(clips, frames)
    graph = traced(network, clips, frames)
    reports = {report.name: report for report in run_passes(graph, lowering())}
    assert reports["lower_temporal_shift"].matched == 2
    assert temporal_nodes(graph) == 0
    assert not graph.functions
    np.testing.assert_allclose(
        session(graph).run(None, {"clip": clip})[0], eager(network, clip), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("fold", [0, 1, 3])
def test_lowering_accepts_any_fold(fold):
    network, clip = Shifting((1, -1), fold), clip_of(1, 3)
    graph = traced(network, 1, 3)
    run_passes(graph, lowering())
    np.testing.assert_allclose(
        session(graph).run(None, {"clip": clip})[0], eager(network, clip), rtol=1e-5, atol=1e-6
    )


def test_one_clip_is_lowered_to_four_dimensional_slices_and_concatenations():
    graph = traced(Shifting((1, -1)), 1, 4)
    run_passes(graph, lowering())
    added = {node.op_type for node in graph.graph} - {"Conv", "Relu", "ReduceMean", "Reshape"}
    assert added == {"Slice", "Concat"}


def test_opset_13_and_fp16_graphs_are_valid_and_close():
    network, clip = Shifting((1, -1)), clip_of(1, 4)
    graph = traced(network, 1, 4)
    run_passes(graph, (*lowering(), to_opset_13))
    proto = ir.to_proto(graph)
    assert {entry.domain: entry.version for entry in proto.opset_import} == {"": 13}
    onnx.checker.check_model(proto, full_check=True)
    expected = eager(network, clip)
    np.testing.assert_allclose(session(graph).run(None, {"clip": clip})[0], expected, rtol=1e-5, atol=1e-6)

    run_passes(graph, (to_fp16,))
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    inside = {value.dtype for node in graph.graph for value in node.outputs} - {ir.DataType.FLOAT16}
    assert inside == {ir.DataType.FLOAT}, "only the casts at the end give float32"
    weights = [v for v in graph.graph.initializers.values() if v.dtype.is_floating_point()]
    assert {v.dtype for v in weights} == {ir.DataType.FLOAT16}
    opened = session(graph)
    assert opened.get_inputs()[0].type == opened.get_outputs()[0].type == "tensor(float)"
    result = opened.run(None, {"clip": clip})[0]
    assert np.abs(result - expected).max() < 1e-2 * np.abs(expected).max()
    assert np.abs(result - expected).max() > 0


def test_weights_too_large_for_fp16_are_refused():
    network = Shifting((1, -1))
    nn.init.constant_(network.conv.weight, 1e6)
    graph = traced(network, 1, 2)
    run_passes(graph, (*lowering(), to_opset_13))
    with pytest.raises(ExportError, match="exceed 65504"):
        to_fp16(graph)


def test_an_operator_that_opset_13_lacks_is_named():
    class Newer(nn.Module):
        def forward(self, clip):
            frames = clip.flatten(0, 1)
            grid = frames[:, :2].permute(0, 2, 3, 1)
            return nn.functional.grid_sample(frames, grid, align_corners=False).mean((2, 3))

    graph = traced(Newer(), 1, 2)
    with pytest.raises(ExportError, match="GridSample"):
        to_opset_13(graph)


class Halves(nn.Module):
    """The second half of the frames after the first, along an axis that may be odd."""

    def forward(self, clip):
        first, second = clip.mean((2, 3, 4)).chunk(2, 1)
        return torch.cat([second, first], 1)


@pytest.mark.parametrize("frames", [4, 3])
def test_opset_13_splits_a_clip_in_even_parts_and_in_uneven_ones(frames):
    graph, clip = traced(Halves(), 1, frames), clip_of(1, frames)
    to_opset_13(graph)
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    expected = eager(Halves(), clip)
    np.testing.assert_allclose(session(graph).run(None, {"clip": clip})[0], expected, rtol=1e-5, atol=1e-6)


def test_splitting_an_unknown_length_is_refused_in_opset_13():
    graph = traced(Halves(), 1, 4)
    (split,) = (node for node in graph.graph if node.op_type == "Split")
    split.inputs[0].shape = None
    with pytest.raises(ExportError, match=r"num_outputs of \S+ \(Split\)"):
        to_opset_13(graph)


class Enlarged(nn.Module):
    """A feature pyramid's doubling of its images."""

    def forward(self, clip):
        return nn.functional.interpolate(clip.flatten(0, 1), scale_factor=2, mode="nearest").mean((2, 3))


def test_opset_13_resizes_without_the_newer_attributes():
    graph, clip = traced(Enlarged(), 1, 2), clip_of(1, 2)
    resize = next(node for node in graph.graph if node.op_type == "Resize")
    resize.attributes["antialias"] = ir.AttrInt64("antialias", 0)
    resize.attributes["keep_aspect_ratio_policy"] = ir.AttrString("keep_aspect_ratio_policy", "stretch")
    to_opset_13(graph)
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    expected = eager(Enlarged(), clip)
    np.testing.assert_allclose(session(graph).run(None, {"clip": clip})[0], expected, rtol=1e-5, atol=1e-6)


def test_antialiased_resizing_is_refused_in_opset_13():
    graph = traced(Enlarged(), 1, 2)
    resize = next(node for node in graph.graph if node.op_type == "Resize")
    resize.attributes["antialias"] = ir.AttrInt64("antialias", 1)
    with pytest.raises(ExportError, match=r"antialias of \S+ \(Resize\)"):
        to_opset_13(graph)


class ByFrame(Shifting):
    """What a stream is made of: an answer to each frame of a clip."""

    def forward(self, clip):
        return self.frames_out(clip)


def streamed(network: nn.Module):
    """The graph of one frame, and its states."""
    graph = traced(network, 1, 4)
    _, states = to_streaming(graph)
    run_passes(graph, (remove_no_ops,))
    return graph, states


def test_streaming_equals_the_causal_clip_frame_by_frame():
    network, clip = ByFrame((-1, 0)), clip_of(1, 5)
    graph, states = streamed(network)
    assert [state.shape for state in states] == [(1, 2, 6, 6), (1, 1, 6, 6)]
    opened = session(graph)
    assert [i.name for i in opened.get_inputs()] == ["frame", "state_0", "state_1"]
    assert [o.name for o in opened.get_outputs()] == ["logits", "next_state_0", "next_state_1"]
    memory = {state.input: np.zeros(state.shape, np.float32) for state in states}
    pushed = []
    for frame in clip[0]:
        logits, *after = opened.run(None, {"frame": frame[None], **memory})
        memory = dict(zip(memory, after))
        pushed.append(logits)
    with torch.no_grad():
        expected = network.frames_out(torch.from_numpy(clip))[0].numpy()
    np.testing.assert_allclose(np.concatenate(pushed), expected, rtol=1e-5, atol=1e-6)


def test_a_streamed_graph_of_one_frame_has_no_reshape_of_the_frame_left():
    graph, _ = streamed(ByFrame((-1, 0)))
    assert next(iter(graph.graph)).op_type == "TemporalShiftStep"


def test_streaming_steps_can_be_lowered_too():
    graph, _ = streamed(ByFrame((-1, 0)))
    run_passes(graph, (*lowering(), to_opset_13, to_fp16))
    assert {i.type for i in session(graph).get_inputs()} == {"tensor(float)"}


def test_a_bidirectional_network_cannot_be_streamed():
    with pytest.raises(ExportError, match=r"looks into the future.*2 of its temporal ops"):
        streamed(ByFrame((1, -1)))


def test_the_verifier_refuses_a_shift_that_does_not_fit():
    graph = traced(Shifting((1, -1)), 1, 4)
    node = next(node for node in graph.graph if node.domain == ops.DOMAIN)
    node.attributes["fold"] = ir.AttrInt64("fold", 4)
    with pytest.raises(ExportError, match="fold 4 does not fit in 5 channels"):
        verify(graph)
    del node.attributes["fold"]
    with pytest.raises(ExportError, match="lacks fold"):
        verify(graph)


def test_the_verifier_refuses_a_temporal_op_without_its_function():
    graph = traced(Shifting((1, -1)), 1, 4)
    graph.functions.clear()
    with pytest.raises(ExportError, match="without a function that defines it"):
        verify(graph)

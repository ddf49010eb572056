"""int8 graphs compute what float ones do, move bytes instead of floats, and a wrong scale is detected."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from edgevid.backends.onnxruntime.int8 import needs_wider_products
from edgevid.errors import ExportError
from edgevid.passes import LOWERING, STANDARD, run_passes
from edgevid.passes.quantize.qdq import activation_scale, weight_scales
from edgevid.passes.quantize.quantize import group_values, is_quantizable, propagate_ranges, quantize
from edgevid.passes.quantize.ranges import layer_errors, measure_ranges, percentile_range
from edgevid.passes.quantize.scheme import ONNXRUNTIME, TENSORRT
from edgevid.passes.to_fp16 import to_fp16
from edgevid.passes.to_opset_13 import to_opset_13
from edgevid.passes.verify import verify
from edgevid.specs import LOCAL_TOLERANCE

pytestmark = pytest.mark.slow

SCHEMES = {"tensorrt": TENSORRT, "onnxruntime": ONNXRUNTIME}


def clips(count: int, seed: int = 0, frames: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal((1, frames, 3, 16, 16), dtype=np.float32) for _ in range(count)]


@pytest.fixture(scope="module")
def traced() -> onnx.ModelProto:
    """Convolution, pool, residual block with a bidirectional shift, classifier; as a float graph."""
    torch = pytest.importorskip("torch")
    from torch import nn

    from edgevid.exporter.trace import trace
    from edgevid.ops import temporal_shift

    shift = temporal_shift.torch_op()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.pool = nn.Conv2d(3, 16, 3, padding=1), nn.MaxPool2d(2)
            self.expand, self.depth = nn.Conv2d(16, 32, 1), nn.Conv2d(32, 32, 3, padding=1, groups=32)
            self.project, self.classify = nn.Conv2d(32, 16, 1), nn.Linear(16, 5)

        def forward(self, clip):
            x = self.pool(torch.relu(self.stem(clip.flatten(0, 1))))
            y = torch.relu(self.expand(shift(x, 3, 4, 1, -1)))
            x = x + self.project(torch.relu(self.depth(y)))
            return self.classify(x.mean((2, 3))).view(1, 3, 5).mean(1)

    graph = trace(Net().eval(), torch.zeros(1, 3, 3, 16, 16))
    run_passes(graph, STANDARD)
    return ir.to_proto(graph)


@pytest.fixture(scope="module")
def ranges(traced):
    return measure_ranges(ir.from_proto(traced), clips(6))


def quantized_model(traced, ranges, scheme, *before) -> onnx.ModelProto:
    graph = ir.from_proto(traced)
    run_passes(graph, (*LOWERING, *before))
    report = quantize(graph, ranges, scheme)
    verify(graph)
    assert (report.matched, report.refused) == (5, ())
    return ir.to_proto(graph)


def run(model: onnx.ModelProto, clip: np.ndarray) -> np.ndarray:
    # The options of a bundle's session: int8 overflows on some processors otherwise.
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", str(int(needs_wider_products())))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"clip": clip})[0]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_int8_computes_nearly_what_float_does(traced, ranges, scheme):
    model = quantized_model(traced, ranges, scheme)
    for clip in clips(3, seed=9):
        expected = run(traced, clip)
        assert 0 < np.abs(run(model, clip) - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_the_shift_moves_one_byte_per_value(traced, ranges, scheme):
    model = onnx.shape_inference.infer_shapes(quantized_model(traced, ranges, scheme))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    byte = onnx.TensorProto.INT8 if scheme.symmetric else onnx.TensorProto.UINT8
    moves = [node for node in model.graph.node if node.op_type in ("Slice", "Concat")]
    assert len(moves) == 8, "slices and concatenations of one bidirectional shift"
    for node in moves:
        data = node.input if node.op_type == "Concat" else node.input[:1]
        assert {types[name] for name in (*data, *node.output)} == {byte}


def test_the_model_for_tensorrt_is_opset_13_symmetric_and_per_channel(traced, ranges):
    model = quantized_model(traced, ranges, TENSORRT, to_opset_13)
    onnx.checker.check_model(model)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [13]
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for node in pairs:
        zero = arrays[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    of_constants = [arrays[node.input[1]].size for node in pairs if node.input[0] in arrays]
    assert sorted(of_constants) == [1, 5, 16, 16, 32, 32], "a scale per output channel, and the zeros"


def test_int8_constants_are_only_read_by_dequantizers(traced, ranges):
    """TensorRT refuses other readers, so a node quantizes the zeros of a shift."""
    model = quantized_model(traced, ranges, TENSORRT)
    constants = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8}
    readers = {node.op_type for node in model.graph.node if constants & {*node.input[:1], *node.input[3:]}}
    assert readers <= {"DequantizeLinear"}
    assert (
        not {name for node in model.graph.node if node.op_type == "Concat" for name in node.input} & constants
    )


def test_between_int8_everything_can_be_fp16(traced, ranges):
    graph = ir.from_proto(traced)
    run_passes(graph, LOWERING)
    quantize(graph, ranges, TENSORRT)
    run_passes(graph, (to_fp16,))
    model = ir.to_proto(graph)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [19]
    kinds = {tensor.data_type for tensor in model.graph.initializer} - {onnx.TensorProto.INT64}
    assert kinds == {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8}
    errors = layer_errors(traced, model, clips(3, seed=9))
    assert len(errors) == 5
    assert 0 < max(errors.values()) < LOCAL_TOLERANCE / 3
    for clip in clips(3, seed=9):
        expected = run(traced, clip)
        assert 0 < np.abs(run(model, clip) - expected).max() < 0.03 * np.abs(expected).max()


def test_a_tiny_scale_is_not_zero_in_fp16(traced, ranges):
    graph = ir.from_proto(traced)
    run_passes(graph, LOWERING)
    quantize(graph, ranges, TENSORRT)
    scales = {node.inputs[1].name for node in graph.graph if node.op_type == "QuantizeLinear"}
    name = next(iter(scales))
    value = graph.graph.initializers[name]
    value.const_value = ir.tensor(np.full(value.shape.numpy(), 1e-9, np.float32), name=name)
    before = {name: graph.graph.initializers[name].const_value.numpy() for name in scales}
    to_fp16(graph)
    for name in scales:
        after = graph.graph.initializers[name].const_value.numpy().astype(np.float32)
        assert (after >= before[name]).all()
        assert (after < before[name] * 1.001 + 1e-7).all()


def test_onnx_runtime_fuses_every_layer(traced, ranges, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    model = quantized_model(traced, ranges, ONNXRUNTIME).SerializeToString()
    onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert (kinds.count("QLinearConv"), kinds.count("QGemm"), kinds.count("QLinearAdd")) == (4, 1, 1)
    assert not {"Conv", "FusedConv", "Gemm", "Relu"} & set(kinds)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_the_error_of_each_layer_is_small(traced, ranges, scheme):
    errors = layer_errors(traced, quantized_model(traced, ranges, scheme), clips(3, seed=9))
    assert len(errors) == 5
    assert 0 < max(errors.values()) < LOCAL_TOLERANCE / 3


@pytest.mark.parametrize("factor", [1 / 4, 50], ids=["a quarter", "50 times"])
def test_a_wrong_range_of_one_tensor_is_detected(traced, ranges, factor):
    graph = ir.from_proto(traced)
    (name,) = {node.inputs[0].name for node in graph.graph if node.op_type == "TemporalShift"}
    low, high = propagate_ranges(graph, ranges)[name]
    pooled = next(node.inputs[0].name for node in graph.graph if node.outputs[0].name == name)
    wrong = {**ranges, pooled: (low * factor, high * factor)}
    errors = layer_errors(traced, quantized_model(traced, wrong, TENSORRT), clips(3, seed=9))
    assert max(errors.values()) > LOCAL_TOLERANCE


@pytest.mark.parametrize("layer", range(5))
def test_a_layer_with_nan_has_an_infinite_error(traced, ranges, layer):
    model = quantized_model(traced, ranges, TENSORRT)
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    (source,) = [node for node in model.graph.node if node.output[0] == nodes[layer].input[1]]
    (scale,) = [tensor for tensor in model.graph.initializer if tensor.name == source.input[1]]
    scale.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) * np.nan, scale.name))
    errors = layer_errors(traced, model, clips(1, seed=9))
    assert list(errors.values()).count(np.inf) == 1
    assert max(errors.values()) == np.inf


def test_a_missing_shift_is_detected(traced, ranges):
    lost = ir.from_proto(traced)
    for node in lost.graph:
        if node.op_type == "TemporalShift":
            node.attributes["fold"] = ir.AttrInt64("fold", 0)
    errors = layer_errors(traced, quantized_model(ir.to_proto(lost), ranges, TENSORRT), clips(3, seed=9))
    assert max(errors.values()) > LOCAL_TOLERANCE


def test_a_layer_without_a_range_stays_in_float_and_is_reported(traced, ranges):
    graph = ir.from_proto(traced)
    run_passes(graph, LOWERING)
    report = quantize(graph, {}, TENSORRT)
    assert report.matched == 0
    assert len(report.refused) == 5
    assert "no range of 'clip' was measured" in report.refused[0]
    assert "QuantizeLinear" not in {node.op_type for node in graph.graph}


def test_ranges_are_measured_despite_omitted_and_empty_outputs():
    """The LSTM has no sequence output, only the last hidden state."""
    source = """
    <ir_version: 8, opset_import: ["" : 18]>
    memory (float[4, 1, 3] clip) => (float[1, 1, 2] hidden)
    <float[1, 8, 3] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.1, 0.2, 0.3, 0.4,
                         0.5, 0.6, 0.7, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8},
     float[1, 8, 2] r = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8},
     int64[1] zero = {0}>
    {
        nothing = Slice(clip, zero, zero)
        twice = Add(clip, clip)
        "", hidden, cell = LSTM<hidden_size: int = 2>(twice, w, r)
    }
    """
    model = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(source))
    clip = np.full((4, 1, 3), 0.5, np.float32)
    ranges = measure_ranges(ir.from_proto(model), [clip])
    assert ranges["twice"] == (1, 1)
    assert set(ranges) == {"clip", "twice", "hidden", "cell"}
    (hidden,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"clip": clip})
    assert ranges["hidden"] == (hidden.min(), hidden.max())


def test_a_sum_with_a_moved_constant_stays_in_float():
    source = """
    <ir_version: 8, opset_import: ["" : 18]>
    memory (float[1, 2] clip) => (float[1, 2] y)
    <float[1, 4] empty = {0.0, 0.0, 0.0, 0.0}, int64[1] from = {0}, int64[1] to = {2}, int64[1] axis = {1}>
    {
        state = Slice(empty, from, to, axis)
        y = Add(clip, state)
    }
    """
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(source)))
    groups = group_values(graph.graph, {"clip": (-1, 1), "y": (-1, 1)}, ONNXRUNTIME)
    state = groups[id(graph.graph[0].outputs[0])]
    assert (state.range, state.refusal) == (None, "its input is constant")
    quantize(graph, {"clip": (-1, 1), "y": (-1, 1)}, ONNXRUNTIME)
    verify(graph)


@pytest.mark.parametrize(("weights", "expected"), [("4, 2", True), ("3, 4, 2", False), ("4", False)])
def test_a_stack_of_matrices_is_not_quantizable(weights, expected):
    source = f"""
    <ir_version: 8, opset_import: ["" : 18]>
    network (float[3, 1, 4] clip, float[{weights}] weights) => (y) {{ y = MatMul(clip, weights) }}
    """
    graph = ir.from_proto(onnx.parser.parse_model(source)).graph
    shape = tuple(map(int, weights.split(", ")))
    graph.inputs[1].const_value = ir.tensor(np.ones(shape, np.float32))
    assert is_quantizable(graph[0]) is expected


def test_a_convolution_too_small_to_matter_stays_in_float(traced, ranges, monkeypatch):
    from edgevid.passes.quantize import quantize as module

    graph = ir.from_proto(traced)
    run_passes(graph, LOWERING)
    layers, small = module.layers_to_quantize(graph.graph)
    costs = [module._macs(node) for node in layers]
    # Of the stem, 1x1, depthwise and 1x1, for 3 frames of 16 and 8 pixels; and the classifier.
    assert costs == [3 * 16 * 16 * 27 * 16, 3 * 64 * 16 * 32, 3 * 64 * 9 * 32, 3 * 64 * 32 * 16, 3 * 16 * 5]
    assert small == []
    monkeypatch.setattr(module, "MIN_SHARE", 1.01 * costs[2] / sum(costs))
    report = quantize(graph, ranges, TENSORRT)
    verify(graph)
    assert report.matched == 4, "the classifier, which has weights to save, and three convolutions"
    assert "1 convolutions of less than" in report.refused[0]
    (depthwise,) = (n for n in graph.graph if n.op_type == "Conv" and n.attributes.get_int("group", 1) > 1)
    assert depthwise.inputs[0].producer().op_type == "Relu"
    for clip in clips(2, seed=9):
        expected = run(traced, clip)
        assert 0 < np.abs(run(ir.to_proto(graph), clip) - expected).max() < 0.03 * np.abs(expected).max()


def test_the_input_and_output_of_a_shift_have_one_scale(traced, ranges):
    graph = ir.from_proto(traced)
    run_passes(graph, LOWERING)
    groups = group_values(graph.graph, ranges, TENSORRT)
    for node in graph.graph:
        if node.op_type == "Slice":
            assert groups[id(node.inputs[0])] is groups[id(node.outputs[0])]


def test_scales_cover_the_range_and_zero_is_exact():
    scale, zero = map(float, activation_scale((-1.0, 3.0), symmetric=False))
    assert scale * (0 - zero) == pytest.approx(-1.0, abs=scale)
    assert scale * (255 - zero) == pytest.approx(3.0, abs=scale)
    scale, zero = activation_scale((-6.35, 2.0), symmetric=True)
    assert (float(scale), int(zero)) == (pytest.approx(0.05), 0)
    assert activation_scale((0.0, 0.0), symmetric=True)[0] == 1
    weight = np.array([[1.0, -127.0], [0.0, 0.0], [0.127, 0.0]], np.float32)
    assert weight_scales(weight, 0) == pytest.approx([1.0, 1.0, 0.001])


def test_a_range_clips_a_hundred_thousandth_of_the_values():
    array = np.zeros(1_000_000, np.float32)
    array[:5], array[5:10], array[10] = 100, -100, 7
    assert percentile_range(array) == (0.0, 7.0)
    assert percentile_range(array[:100]) == (-100.0, 100.0)


def test_lowering_to_opset_13_changes_no_output(traced, ranges):
    clip = clips(1, seed=9)[0]
    before = run(quantized_model(traced, ranges, TENSORRT, to_opset_13), clip)
    assert np.array_equal(before, run(quantized_model(traced, ranges, TENSORRT), clip))


def test_calibration_cache_is_in_tensorrts_format(tmp_path):
    import struct

    from edgevid.backends.tensorrt.calibration_cache import version_number, write_calibration_cache

    path = tmp_path / "calibration.cache"
    write_calibration_cache(path, {"clip": (-2.0, 1.0), "/layer1/conv": (0.0, 12.7), "dead": (0, 0)}, "8.2.1")
    header, *lines = path.read_text().splitlines()
    assert header == "TRT-8201-EntropyCalibration2"
    scales = {name: struct.unpack(">f", bytes.fromhex(digits))[0] for name, digits in map(_split, lines)}
    assert scales == {"clip": pytest.approx(2 / 127), "/layer1/conv": pytest.approx(0.1)}
    assert version_number("10.3") == 100300
    assert version_number("10") == 100000
    for wrong in ("ten", "10.x", "11.0.0"):
        with pytest.raises(ExportError, match="TensorRT"):
            version_number(wrong)


def _split(line: str) -> tuple[str, str]:
    name, _, digits = line.rpartition(": ")
    return name, digits

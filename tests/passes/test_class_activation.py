"""A classifier on the mean of a feature map gives class activation maps, which add up to its logits."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.shape_inference import infer_shapes

from edgevid.errors import ExportError
from edgevid.passes.class_activation import add_maps, find_classifier

FRAMES, CHANNELS, SIDE, CLASSES = 2, 3, 4, 5
WEIGHT = np.random.default_rng(1).standard_normal((CLASSES, CHANNELS), dtype=np.float32)
BIAS = np.arange(CLASSES, dtype=np.float32)

BY_FRAME = """
    features = Relu(frames)
    means = ReduceMean<keepdims = 0>(features, space)
    rows = Gemm<transB = 1>(means, weight, bias)
    clips = Reshape(rows, by_clip)
    logits = ReduceMean<keepdims = 0>(clips, time)
"""
OVER_TIME_FIRST = """
    features = Relu(frames)
    means = GlobalAveragePool(features)
    all = ReduceMean<keepdims = 1>(means, first)
    rows = Flatten(all)
    product = MatMul(rows, transposed)
    logits = Add(bias, product)
"""
CONVOLUTION_AFTER_THE_MEAN = """
    features = Relu(frames)
    means = ReduceMean<keepdims = 1>(features, space)
    rows = Conv(means, kernel, bias)
    all = ReduceMean<keepdims = 1>(rows, first)
    logits = Flatten(all)
"""


def graph_of(body: str, shape=(FRAMES, CHANNELS, SIDE, SIDE)) -> ir.Model:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    test (float[{",".join(map(str, shape))}] frames) => (float[1,{CLASSES}] logits) {{ {body} }}"""
    model = onnx.parser.parse_model(text)
    constants = {
        "weight": WEIGHT, "transposed": WEIGHT.T.copy(), "kernel": WEIGHT[:, :, None, None], "bias": BIAS,
        "space": np.array([2, 3]), "time": np.array([1]), "first": np.array([0]),
        "volume": np.array([2, 3, 4]), "by_clip": np.array([1, FRAMES, CLASSES]), "flat": np.array([1, -1]),
        "wide": np.ones((CHANNELS * SIDE * SIDE, CLASSES), np.float32),
    }  # fmt: skip
    used = {name for node in model.graph.node for name in node.input}
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used]
    model.graph.initializer.extend(tensors)
    return ir.from_proto(infer_shapes(model))


def run(graph: ir.Model, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    return session.run(["logits", "class_activation_maps"], {"frames": frames})


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("body", [BY_FRAME, OVER_TIME_FIRST, CONVOLUTION_AFTER_THE_MEAN])
def test_the_maps_are_features_times_weights_and_their_mean_is_the_logit(body):
    graph, frames = graph_of(body), noise(FRAMES, CHANNELS, SIDE, SIDE)
    add_maps(graph)
    logits, maps = run(graph, frames)
    expected = np.stack([np.tensordot(WEIGHT, np.maximum(frame, 0), 1) for frame in frames])
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps.mean((0, 2, 3)) + BIAS, logits[0], rtol=1e-5, atol=1e-6)


def test_a_volume_has_a_map_for_each_of_its_frames():
    body = """
        features = Relu(frames)
        means = ReduceMean<keepdims = 0>(features, volume)
        logits = Gemm<transB = 1>(means, weight, bias)
    """
    graph, volume = graph_of(body, (1, CHANNELS, FRAMES, SIDE, SIDE)), noise(1, CHANNELS, FRAMES, SIDE, SIDE)
    classifier = find_classifier(graph)
    add_maps(graph)
    logits, maps = run(graph, volume)
    np.testing.assert_allclose(maps, classifier.maps_of(np.maximum(volume, 0)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps.mean((0, 2, 3)) + BIAS, logits[0], rtol=1e-5, atol=1e-6)


def test_a_convolution_to_the_classes_before_the_mean_is_the_map_itself():
    body = """
        maps = Conv(frames, kernel, bias)
        means = ReduceMean<keepdims = 0>(maps, space)
        logits = ReduceMean<keepdims = 1>(means, first)
    """
    graph = graph_of(body)
    add_maps(graph)
    logits, maps = run(graph, noise(FRAMES, CHANNELS, SIDE, SIDE))
    np.testing.assert_allclose(maps.mean((0, 2, 3)), logits[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "body, reason",
    [
        (
            "m = GlobalAveragePool(frames) r = Relu(m) f = Flatten(r) logits = Gemm<transB = 1>(f, weight)",
            "Relu",
        ),
        ("m = GlobalMaxPool(frames) f = Flatten(m) logits = Gemm<transB = 1>(f, weight)", "GlobalMaxPool"),
        ("r = Relu(frames) f = Flatten(r) logits = MatMul(f, wide)", "Relu"),
        ("m = GlobalAveragePool(frames) f = Flatten(m) logits = Gemm<transB = 1>(f, weight)", "pixels"),
    ],
)
def test_other_classifiers_are_refused_with_the_layer_and_what_to_do(body, reason):
    with pytest.raises(ExportError, match=rf"{reason}.*--weights FILE --layer"):
        find_classifier(graph_of(body))


def test_a_map_of_one_pixel_is_refused_with_what_to_do():
    body = "r = Relu(frames) m = GlobalAveragePool(r) f = Flatten(m) logits = Gemm<transB = 1>(f, weight)"
    with pytest.raises(ExportError, match=r"output of .*Relu.* is 1x1: export with a larger --size"):
        find_classifier(graph_of(body, (FRAMES, CHANNELS, 1, 1)))


def test_a_network_without_logits_is_refused():
    graph = graph_of(BY_FRAME)
    graph.graph.outputs[0].name = "features"
    with pytest.raises(ExportError, match="no logits"):
        find_classifier(graph)

"""The exported file loads in a plain ONNX Runtime and in OpenVINO, without edgevid's library."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from edgevid import parity


def test_plain_onnx_runtime_runs_the_file_with_edgevids_ops(clip_bundle):
    path = clip_bundle.path / "model.edgevid.onnx"
    nodes = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
    assert nodes.count("TemporalShift") == 10
    clip, expected = parity.load(clip_bundle.path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = dict(zip(["logits"], session.run(["logits"], {"clip": clip})))
    assert parity.compare(outputs, expected, 1e-4).ok


def test_the_standard_file_has_only_standard_operators(clip_bundle, stream_bundle):
    for bundle in (clip_bundle, stream_bundle):
        model = onnx.load(bundle.path / "model.onnx", load_external_data=False)
        assert {node.domain for node in model.graph.node} == {""}
        assert not model.functions


def openvino_model(path):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    # OpenVINO would compute in bf16 where the processor can; fp32 is compared.
    return openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def test_openvino_runs_the_same_file(clip_bundle):
    clip, expected = parity.load(clip_bundle.path)
    result = openvino_model(clip_bundle.path / "model.onnx")({"clip": clip})
    assert parity.compare({"logits": result["logits"]}, expected, 1e-4).ok


def test_openvino_runs_the_streaming_file(stream_bundle):
    clip, expected = parity.load(stream_bundle.path)
    model = openvino_model(stream_bundle.path / "model.onnx")
    states = {state.input: np.zeros(state.shape, state.dtype) for state in stream_bundle.manifest.states}
    logits = []
    for frame in clip[0]:
        result = model({"frame": frame[None], **states})
        states = {state.input: result[state.output] for state in stream_bundle.manifest.states}
        logits.append(result["logits"])
    assert parity.compare({"logits": np.concatenate(logits)}, expected, 1e-4).ok


def test_openvino_runs_the_files_for_tensorrt(jetson_bundle):
    clip, expected = parity.load(jetson_bundle.path)
    result = openvino_model(jetson_bundle.path / "model_fp32.onnx")({"clip": clip})
    assert parity.compare({"logits": result["logits"]}, expected, 1e-4).ok


def test_a_mobile_bundle_has_ort_format_that_equals_pytorch(mobile_bundle):
    files = {artefact.file: artefact for artefact in mobile_bundle.manifest.artefacts}
    expected = {"model.edgevid.onnx", "model.onnx", "model.ort", "model.kernels.ort"}
    assert {name for name in files if "/" not in name} == expected
    assert files["model.ort"].parity.max_rel < 1e-5
    content = (mobile_bundle.path / "model.ort").read_bytes()
    assert content[4:8] == b"ORTM", "the identifier of ONNX Runtime's flatbuffer"
    # The opset imports list the domain; its reordering operators must not be there.
    assert b"ReorderInput" not in content, "a layout of this processor must not travel to a phone"


def test_a_mobile_bundle_tells_what_to_copy_and_install(mobile_bundle):
    text = (mobile_bundle.path / "README.md").read_text()
    for words in ("## Copy", "onnxruntime-android", "`clip` 1x4x3x64x64", "model.ort", "**Not tried:**"):
        assert words in text
    assert "$" not in text


def test_weights_are_stored_once(clip_bundle):
    size = sum(path.stat().st_size for path in clip_bundle.path.glob("model*"))
    assert size < 1.03 * clip_bundle.manifest.weights.size_bytes

"""An int8 bundle for TensorRT: QDQ nodes, typed or not, a calibration cache, and scripts for both."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from one_board import VERSIONS, install_trtexec, recorded, script, write_outputs
from one_video import write_videos
from short_network import short_exports

import edgevid
from edgevid.backends.tensorrt import layer_info
from edgevid.backends.tensorrt.int8 import is_typed
from edgevid.errors import EdgevidError
from edgevid.specs import LOCAL_TOLERANCE

pytestmark = pytest.mark.slow

pytest.importorskip("torch")

CONVOLUTIONS, SHIFTS = 17, 1
"""Of the network with one of each kind of block."""

OPTIONS = {"classes": 5, "frames": 2, "size": 32, "precision": "int8"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"), 3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, videos):
    """For the default Jetson, with TensorRT 10."""
    output = tmp_path_factory.mktemp("int8") / "bundle"
    with short_exports():
        return edgevid.export("tsm_mbv2", "jetson", output, calibration=videos, **OPTIONS)


@pytest.fixture(scope="module")
def older(tmp_path_factory, videos):
    """For a Jetson with TensorRT 8, without counting kernels, to save time."""
    output = tmp_path_factory.mktemp("int8") / "older"
    with short_exports(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_info, "MODULE", "tensorrt_rtx_is_not_here")
        return edgevid.export("tsm_mbv2", "jetson-xavier-nx", output, calibration=videos, **OPTIONS)


@pytest.fixture
def board(bundle, tmp_path):
    copy = Path(shutil.copytree(bundle.path, tmp_path / "board"))
    write_outputs(copy)
    return copy


@pytest.fixture
def older_board(older, tmp_path):
    copy = Path(shutil.copytree(older.path, tmp_path / "board"))
    write_outputs(copy)
    return copy


def test_each_precision_was_compared_with_pytorch_and_int8_layer_by_layer(bundle, older):
    for exported in (bundle, older):
        by_precision = {a.precision: a.parity for a in exported.manifest.artefacts}
        assert set(by_precision) == {"int8", "fp32", "fp16"}
        assert by_precision["fp32"].max_rel < 1e-4
        assert 0 < by_precision["int8"].local_error <= LOCAL_TOLERANCE
        assert exported.manifest.parity == by_precision["int8"]
        assert exported.manifest.model_file == "model_int8.onnx"
        assert any("calibration.cache" in sentence for sentence in exported.manifest.not_run)


@pytest.mark.parametrize("name", ["bundle", "older"])
def test_the_shift_moves_int8(name, request):
    path = request.getfixturevalue(name).path / "model_int8.onnx"
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    onnx.checker.check_model(model, full_check=True)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    moves = [node for node in model.graph.node if node.op_type in ("Slice", "Pad", "Concat", "Gather")]
    assert len(moves) >= SHIFTS * 5
    assert {types[node.output[0]] for node in moves} == {onnx.TensorProto.INT8}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    producers = {node.output[0]: node.op_type for node in model.graph.node}
    assert Counter(producers[conv.input[0]] for conv in convolutions) == {"DequantizeLinear": CONVOLUTIONS}


def test_tensorrt_10_gets_types_and_tensorrt_8_opset_13(bundle, older):
    for exported, opset, kind in (
        (bundle, 19, onnx.TensorProto.FLOAT16),
        (older, 13, onnx.TensorProto.FLOAT),
    ):
        model = onnx.load(exported.path / "model_int8.onnx")
        assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]
        kinds = {tensor.data_type for tensor in model.graph.initializer}
        assert kinds - {onnx.TensorProto.INT64, onnx.TensorProto.INT8} == {kind}
    assert (is_typed("8.5"), is_typed("10.3"), is_typed("11")) == (False, True, True)


def test_the_cache_has_every_tensor_of_the_float_network(bundle):
    lines = (bundle.path / "calibration.cache").read_text().splitlines()
    assert lines[0] == "TRT-100300-EntropyCalibration2"
    scales = dict(line.split(": ") for line in lines[1:])
    graph = onnx.load(bundle.path / "model_fp32.onnx").graph
    tensors = {node.input[0] for node in graph.node if node.op_type in ("Conv", "Slice", "Concat", "Gemm")}
    tensors -= {tensor.name for tensor in graph.initializer}
    assert tensors <= set(scales)


def test_the_plan_is_that_of_the_int8_file(bundle):
    content = json.loads((bundle.path / "plan.json").read_text())
    assert content["file"] == "model_int8.onnx"
    if reason := layer_info.unavailable_reason():
        pytest.skip(reason)
    assert content["why_none"] == ""
    convolutions = sum(layer["kind"] == "correlation" for layer in content["layers"])
    assert convolutions >= CONVOLUTIONS - 1
    assert content["copies"] <= 3, "the shifts are in kernels that compute something"
    assert {trial["kernels"] for trial in content["trials"]}


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("10.3", {"--onnx=model_int8.onnx", "--stronglyTyped"}),
        ("10.13", {"--onnx=model_int8.onnx", "--stronglyTyped"}),
        ("11.0", {"--onnx=model_int8.onnx"}),
    ],
)
def test_a_typed_model_is_built_as_one(board, version, options):
    install_trtexec(board, version)
    assert script(board, "./build.sh", calibration=False).returncode == 0
    arguments = set(recorded(board, "plain"))
    assert options <= arguments
    assert not {"--int8", "--fp16"} & arguments
    assert ("--stronglyTyped" in arguments) == (version != "11.0")


def test_before_tensorrt_10_the_builder_may_choose_fp16_for_the_rest(older_board):
    install_trtexec(older_board, "8.5")
    assert script(older_board, "./build.sh", calibration=False).returncode == 0
    assert {"--onnx=model_int8.onnx", "--int8", "--fp16"} <= set(recorded(older_board, "plain"))


def test_a_typed_model_is_refused_where_tensorrt_is_older(board):
    install_trtexec(board, "8.5")
    result = script(board, "./build.sh")
    assert result.returncode == 2
    assert "needs TensorRT 10.0 or later, for int8 between fp16 tensors" in result.stderr


@pytest.mark.parametrize("version", ["8.5", "10.3"])
def test_the_engine_of_the_cache_is_kept_where_it_is_faster(older_board, version):
    install_trtexec(older_board, version, calibrated="3.1")
    result = script(older_board, "./build.sh")
    assert result.returncode == 0, result.stderr
    assert "3.1 ms with the calibration cache, 3.5 ms otherwise" in result.stdout
    arguments = (older_board / "tsm_mbv2.int8.engine").read_text().split()
    assert {"--onnx=model_fp32.onnx", "--int8", "--fp16", "--calib=calibration.board.cache"} <= set(arguments)
    cache = (older_board / "calibration.board.cache").read_text().splitlines()
    assert cache[0] == f"TRT-{VERSIONS[version][0]}-EntropyCalibration2"
    assert cache[1:] == (older_board / "calibration.cache").read_text().splitlines()[1:]
    result = script(older_board, "./run.sh")
    assert result.returncode == 0, result.stderr
    assert "equal to PyTorch" in result.stdout


@pytest.mark.parametrize(
    ("calibrated", "factor", "words"),
    [("3.6", 1.0, "3.6 ms with"), ("3.1", 1.5, "the calibration cache is not used: NOT EQUAL to PyTorch")],
    ids=["slower", "wrong"],
)
def test_otherwise_the_engine_with_qdq_nodes_stays(board, calibrated, factor, words):
    install_trtexec(board, calibrated=calibrated)
    write_outputs(board, factor, "calibrated")
    result = script(board, "./build.sh")
    assert result.returncode == 0, result.stderr
    assert words in result.stdout
    assert "--onnx=model_int8.onnx" in (board / "tsm_mbv2.int8.engine").read_text()


def test_where_qdq_nodes_cannot_be_built_the_cache_is_used(board):
    install_trtexec(board, fails="plain")
    result = script(board, "./build.sh")
    assert result.returncode == 0, result.stderr
    assert "trying the calibration cache" in result.stdout
    assert "--calib=" in (board / "tsm_mbv2.int8.engine").read_text()


def test_tensorrt_11_has_no_calibrator_to_fall_back_to(board):
    install_trtexec(board, "11.0", fails="plain")
    result = script(board, "./build.sh")
    assert result.returncode == 2
    assert "trtexec could not build the engine" in result.stderr
    assert not (board / "tsm_mbv2.int8.engine").exists()


def test_the_readme_tells_of_int8(bundle, jetson_bundle):
    text = (bundle.path / "README.md").read_text()
    assert "calibration.cache" in text
    assert "0.2 in int8" in text
    assert "$" not in text
    assert "int8" not in (jetson_bundle.path / "README.md").read_text()


def test_inspect_tells_how_it_was_calibrated_and_what_the_plan_is(run_edgevid, bundle, older):
    text = run_edgevid("inspect", bundle.path).out
    assert "ranges from 12 clips of 3 videos" in text
    assert "worst per-layer error" in text
    plan = json.loads(run_edgevid("inspect", bundle.path, "--json").out)["plan"]
    assert "layers" not in plan
    assert "not available: tensorrt-rtx is not installed" in run_edgevid("inspect", older.path).out
    if reason := layer_info.unavailable_reason():
        pytest.skip(reason)
    assert f"{plan['kernels']} kernels, {plan['copies']} of them copies" in text
    assert "TensorRT-RTX" in text


def test_a_gpu_without_int8_is_refused(videos, tmp_path):
    with pytest.raises(EdgevidError, match="supports fp16 or fp32, not int8"):
        edgevid.export("tsm_mbv2", "jetson-nano", tmp_path / "b", calibration=videos, **OPTIONS)


def test_every_quantizable_op_takes_int8(bundle):
    (report,) = (entry for entry in bundle.manifest.passes if entry.name == "quantise")
    assert report == replace(report, matched=CONVOLUTIONS + 1, refused=())  # and the classifier

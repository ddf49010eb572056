"""A Jetson bundle is plugin-free ONNX that TensorRT 8 and 10 parse, and scripts that work on the board.

Without TensorRT: the scripts run against a fake trtexec that records its arguments (simulated).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from one_board import install_nvcc, install_trtexec, recorded, script, write_outputs
from short_network import short_network

import edgevid
from edgevid import parity
from edgevid.backends.tensorrt import layer_info
from edgevid.backends.tensorrt.scripts import SCRIPTS, TEMPLATES
from edgevid.errors import ExportError

pytestmark = pytest.mark.slow


@pytest.fixture
def board(jetson_bundle, tmp_path):
    """A copy of the bundle, as on the board."""
    copy = Path(shutil.copytree(jetson_bundle.path, tmp_path / "board"))
    write_outputs(copy)
    return copy


def test_the_bundle_says_that_the_engine_was_not_built(jetson_bundle):
    sentence, *rest = jetson_bundle.manifest.not_run
    assert any("the plugins" in other for other in rest)
    assert "engine build" in sentence
    assert "10.3" in sentence


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_onnx_files_have_what_tensorrt_8_parses(jetson_bundle, precision):
    model = onnx.load(jetson_bundle.path / f"model_{precision}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version <= 7
    assert not model.functions
    assert {node.domain for node in model.graph.node} <= {""}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        dims = value.type.tensor_type.shape.dim
        assert all(dim.HasField("dim_value") for dim in dims), value.name
    kinds = {tensor.data_type for tensor in model.graph.initializer} - {onnx.TensorProto.INT64}
    assert kinds == {onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.FLOAT}
    ops = [node.op_type for node in model.graph.node]
    assert ops.count("Slice") == 10 * 5
    assert ops.count("Concat") == 10 * 3


def test_both_precisions_were_compared_with_pytorch(jetson_bundle):
    distances = {a.precision: a.parity for a in jetson_bundle.manifest.artefacts}
    assert distances["fp32"].max_rel < 1e-5
    assert 0 < distances["fp16"].max_rel < 1e-2
    assert jetson_bundle.manifest.parity == distances["fp16"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("8.2", {"--onnx=model_fp32.onnx", "--fp16", "--workspace=1024", "--buildOnly"}),
        ("8.5", {"--onnx=model_fp32.onnx", "--fp16", "--memPoolSize=workspace:1024", "--buildOnly"}),
        (
            "10.3",
            {"--onnx=model_fp16.onnx", "--stronglyTyped", "--memPoolSize=workspace:1024", "--skipInference"},
        ),
        (
            "10.13",
            {"--onnx=model_fp16.onnx", "--stronglyTyped", "--memPoolSize=workspace:1024", "--skipInference"},
        ),
        ("11.0", {"--onnx=model_fp16.onnx", "--memPoolSize=workspace:1024", "--skipInference"}),
    ],
)
def test_build_uses_the_options_of_the_boards_tensorrt(board, version, expected):
    install_trtexec(board, version)
    result = script(board, "./build.sh")
    assert result.returncode == 0, result.stderr
    assert f"TensorRT {version}" in result.stdout
    always = {"--saveEngine=tsm_mbv2.fp16.engine.part", "--timingCacheFile=timing.cache"}
    assert set(recorded(board)) == expected | always
    assert (board / "tsm_mbv2.fp16.engine").exists()
    assert not (board / "tsm_mbv2.fp16.engine.part").exists()


def test_build_in_fp32_does_not_round_to_tf32(board):
    install_trtexec(board)
    assert script(board, "./build.sh", "fp32").returncode == 0
    assert {"--onnx=model_fp32.onnx", "--noTF32"} <= set(recorded(board))
    assert "--stronglyTyped" not in recorded(board)


@pytest.mark.parametrize(
    ("version", "option", "onnx_file"),
    [
        ("8.2", "--plugins", "model_fp32.plugin.onnx"),
        ("10.3", "--staticPlugins", "model_fp16.plugin.onnx"),
    ],
)
def test_the_engine_with_plugins_is_kept_where_it_is_faster(board, version, option, onnx_file):
    install_trtexec(board, version)
    install_nvcc(board)
    result = script(board, "./build.sh", plugins=True)
    assert result.returncode == 0, result.stderr
    assert "3.4 ms with plugins, 3.5 ms otherwise" in result.stdout
    assert "compute_87" in (board / "plugin" / "nvcc.txt").read_text()
    assert onnx_file in (board / "tsm_mbv2.fp16.engine").read_text()
    assert not (board / "candidate.engine").exists()
    assert script(board, "./run.sh", plugins=True).returncode == 0
    assert f"{option}=plugin/libedgevid_plugins.so" in recorded(board)


def test_of_several_engines_with_plugins_the_fastest_is_kept(board):
    (board / "model_fp16.fused.onnx").touch()  # there if Triton is installed
    install_trtexec(board, fused="3.3")
    install_nvcc(board)
    result = script(board, "./build.sh", plugins=True)
    assert result.returncode == 0, result.stderr
    assert "3.3 ms with fused plugins, 3.4 ms otherwise" in result.stdout
    assert "model_fp16.fused.onnx" in (board / "tsm_mbv2.fp16.engine").read_text()
    assert len((board / "plugin" / "nvcc.txt").read_text().split("-shared")) == 2, "built once"
    assert script(board, "./run.sh", plugins=True).returncode == 0
    assert "--staticPlugins=plugin/libedgevid_plugins.so" in recorded(board)


def test_the_engine_without_plugins_is_kept_where_it_is_as_fast(board):
    install_trtexec(board, with_plugins="3.5")
    install_nvcc(board)
    assert script(board, "./build.sh", plugins=True).returncode == 0
    assert script(board, "./run.sh", plugins=True).returncode == 0
    assert not any("lugins" in argument for argument in recorded(board))
    assert not (board / "candidate.engine").exists()


def test_a_faster_engine_with_plugins_that_is_wrong_is_not_kept(board):
    install_trtexec(board, with_plugins="0.1")
    install_nvcc(board)
    write_outputs(board, 1.05, "plugins")
    result = script(board, "./build.sh", plugins=True)
    assert result.returncode == 0, result.stderr
    assert "the engine with plugins is not used: NOT EQUAL to PyTorch" in result.stdout
    assert "lugins" not in (board / "tsm_mbv2.fp16.engine").read_text()


@pytest.mark.parametrize(("status", "words"), [(1, "see plugin.log"), (None, "nvcc is not installed")])
def test_a_board_that_cannot_build_plugins_says_so_and_goes_on(board, status, words):
    install_trtexec(board)
    if status is not None:
        install_nvcc(board, status)
    result = script(board, "./build.sh", plugins=True)
    assert result.returncode == 0, result.stderr
    assert "without plugins: " in result.stdout
    assert words in result.stdout
    assert (board / "tsm_mbv2.fp16.engine").exists()


def test_a_failed_build_leaves_no_engine_and_shows_the_reason(board):
    install_trtexec(board, status=1)
    result = script(board, "./build.sh")
    assert result.returncode == 2
    assert "trtexec could not build" in result.stderr
    assert "RUNNING TensorRT" in result.stderr
    assert not (board / "tsm_mbv2.fp16.engine").exists()


def test_run_compares_with_pytorch_and_can_fail(board):
    install_trtexec(board)
    assert script(board, "./build.sh").returncode == 0
    result = script(board, "./run.sh")
    assert result.returncode == 0, result.stderr
    assert "equal to PyTorch" in result.stdout
    assert "Throughput: 100 qps" in result.stdout
    assert "--loadInputs=clip:check/clip.bin" in recorded(board)
    write_outputs(board, factor=1.05)
    result = script(board, "./run.sh")
    assert result.returncode == 1
    assert "NOT EQUAL" in result.stdout


@pytest.mark.parametrize("number", ["nan", "-nan", "inf", "-inf", "NaN"])
def test_non_finite_values_are_not_equal(board, number):
    _, expected = parity.load(board)
    values = [str(value) for value in expected["logits"].ravel()]
    values[-1] = number
    outputs = f'[{{"name": "info", "values": [1]}}, {{"name": "logits", "values": [{", ".join(values)}]}}]'
    (board / "outputs.json").write_text(outputs)
    result = script(board, sys.executable, "check.py", "fp16")
    assert result.returncode == 1, result.stderr
    assert "NOT EQUAL to PyTorch: max|a-b| / max|b| = inf" in result.stdout


def test_outputs_that_cannot_be_read_are_one_line(board):
    (board / "outputs.json").write_text('[{"name": ')
    result = script(board, sys.executable, "check.py", "fp16")
    assert result.returncode == 1
    assert "outputs.json cannot be read" in result.stderr
    assert "Traceback" not in result.stderr


def test_run_before_build_says_so(board):
    install_trtexec(board)
    result = script(board, "./run.sh")
    assert result.returncode == 2
    assert "run ./build.sh fp16 first" in result.stderr


def test_without_trtexec_the_scripts_say_what_to_install(board):
    result = script(board, "./build.sh", trtexec=False)
    assert result.returncode == 2
    assert "trtexec was not found: JetPack brings" in result.stderr


def test_an_unknown_precision_is_refused(board):
    install_trtexec(board)
    result = script(board, "./build.sh", "int4")
    assert result.returncode == 2
    assert "one of fp16 fp32" in result.stderr
    result = script(board, "./build.sh", "int8")
    assert result.returncode == 2
    assert "no int8 model: export it with --precision int8" in result.stderr
    write_outputs(board)
    assert script(board, "./build.sh").returncode == 0
    assert script(board, "./run.sh").returncode == 0
    check = script(board, sys.executable, "check.py", "int8")
    assert "this bundle has no int8" in check.stderr


def test_a_tensorrt_that_is_too_old_is_refused_before_anything_is_built(board):
    env = board / "bundle.env"
    env.write_text(env.read_text().replace("NEEDS=8.2", "NEEDS=10.0"))
    install_trtexec(board, "8.5")
    for name in ("./build.sh", "./run.sh"):
        result = script(board, name)
        assert result.returncode == 2
        assert "needs TensorRT 10.0 or later" in result.stderr
        assert "8.5 is installed" in result.stderr
    assert not (board / "arguments.txt").exists()
    install_trtexec(board, "10.13")
    assert script(board, "./build.sh").returncode == 0


def test_the_example_for_trtexec_is_the_clip_of_the_self_check(board):
    clip, expected = parity.load(board)
    np.testing.assert_array_equal(np.fromfile(board / "check" / "clip.bin", "<f4"), clip.ravel())
    content = json.loads((board / "check" / "expected.json").read_text())
    np.testing.assert_allclose(content["outputs"]["logits"], expected["logits"].ravel())


def test_a_streaming_bundle_gives_trtexec_its_states(jetson_stream_bundle):
    bundle = jetson_stream_bundle
    assert (bundle.path / "check" / "state_9.bin").exists()
    environment = (bundle.path / "bundle.env").read_text()
    assert "frame:check/frame.bin,state_0:check/state_0.bin" in environment
    assert "TensorRT 8.2" in (bundle.path / "README.md").read_text()
    assert "next_state_" in (bundle.path / "README.md").read_text()


def test_the_readme_tells_what_to_copy_install_and_expect(jetson_bundle):
    text = (jetson_bundle.path / "README.md").read_text()
    for words in (
        "## Copy",
        "## Install",
        "TensorRT 10.3",
        "./build.sh",
        "./run.sh",
        "## Expect",
        "Not tried",
    ):
        assert words in text
    assert "$" not in text


def test_scripts_are_clean_for_shellcheck():
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (Debian: apt install shellcheck)")
    scripts = [str(TEMPLATES / name) for name in SCRIPTS if name.endswith(".sh")]
    command = [shellcheck, "--external-sources", "--source-path=SCRIPTDIR", *scripts]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("weight", "bias"), [(1e5, 0.0), (1.0, 1e5)], ids=["activations overflow", "a weight overflows"]
)
def test_fp16_that_overflows_is_refused_and_left_out_of_an_fp32_bundle(tmp_path, weight, bias, monkeypatch):
    monkeypatch.setattr(layer_info, "MODULE", "tensorrt_rtx_is_not_here")  # counts no kernels, to save time
    network = short_network("tsm_mbv2", 2, 32, num_classes=5)
    _, norm, _ = network.backbone.features[-1]
    norm.weight.data *= weight
    norm.bias.data += bias
    network.backbone.features[-1][2] = torch.nn.ReLU()
    network.classifier.weight.data *= 1e-3
    with pytest.raises(ExportError, match="use --precision fp32"):
        edgevid.export(network, target="jetson", output=tmp_path / "fp16", size=32)
    assert not (tmp_path / "fp16").exists()
    bundle = edgevid.export(network, target="jetson", output=tmp_path / "fp32", size=32, precision="fp32")
    assert [artefact.file for artefact in bundle.manifest.artefacts] == ["model_fp32.onnx"]
    assert any("model_fp16.onnx, left out" in sentence for sentence in bundle.manifest.not_run)
    result = subprocess.run([bundle.path / "build.sh", "fp16"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert "no fp16 model: manifest.json has the reason" in result.stderr

"""A bundle for Jetson checks itself on arm64, as far as it can: ONNX Runtime takes the place of trtexec."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from edgevid.session import Session

pytestmark = pytest.mark.skipif(
    platform.machine() != "aarch64", reason="this computer is not arm64: make test-arm64-jetson makes one"
)


@pytest.fixture(params=["jetson_bundle", "jetson_stream_bundle"])
def board(request, tmp_path):
    """A copy of a bundle, as it lies on a board."""
    return shutil.copytree(request.getfixturevalue(request.param).path, tmp_path / "bundle")


def run_as_trtexec(board, model: str, error: float = 0.0) -> None:
    """``outputs.json``, as trtexec exports it, of ``model`` run on the inputs in ``check/``."""
    session = onnxruntime.InferenceSession(board / model, providers=["CPUExecutionProvider"])
    feeds = {
        value.name: np.fromfile(board / f"check/{value.name}.bin", "<f4").reshape(value.shape)
        for value in session.get_inputs()
    }
    names = [value.name for value in session.get_outputs()]
    outputs = zip(names, session.run(names, feeds))
    rows = [{"name": name, "values": (values.ravel() + error).tolist()} for name, values in outputs]
    (board / "outputs.json").write_text(json.dumps(rows))


def check(board, precision: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "check.py", precision], cwd=board, capture_output=True, text=True)


def test_the_check_finds_the_network_equal_on_arm64(board):
    run_as_trtexec(board, "model_fp32.onnx")
    result = check(board, "fp32")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("equal to PyTorch")


@pytest.mark.parametrize("name", ["jetson_bundle", "jetson_stream_bundle"])
def test_the_float32_file_is_equal_on_arm64(name, request):
    """Not so fp16 of every network: on arm64 ONNX Runtime has kernels of its own for it, which round more."""
    bundle = request.getfixturevalue(name)
    (artefact,) = (a for a in bundle.manifest.artefacts if a.precision == "fp32")
    assert Session(bundle, artefact=artefact, with_kernels=False).check().max_rel < 1e-5


def test_the_check_finds_an_error(board):
    run_as_trtexec(board, "model_fp32.onnx", error=0.1)
    result = check(board, "fp32")
    assert result.returncode == 1
    assert result.stdout.startswith("NOT EQUAL to PyTorch")

"""A bundle for Jetson on a board with a bare Python: trtexec is simulated, the rest is real."""

from __future__ import annotations

import ast
import json
import shlex
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from here_as_board import Here
from one_bundle import as_made_for, write_bundle

from edgevid.benchmarks.devices.board import trtexec
from edgevid.benchmarks.devices.device import Device
from edgevid.benchmarks.devices.program import PACKAGE
from edgevid.benchmarks.harness.protocol import Request
from edgevid.bundle.bundle import Bundle, write_manifest
from edgevid.errors import BenchmarkError

# Simulated: what TensorRT's trtexec prints and writes, as read in its sampleReporting.cpp.
TRTEXEC = """#!/usr/bin/env bash
echo "&&&& RUNNING TensorRT.trtexec [TensorRT v8502]"
for argument in "$@"; do
    case $argument in
        --help) echo "--onnx --fp16 --memPoolSize=poolspec --buildOnly --exposeDMA"; exit 0 ;;
        --saveEngine=*) echo "$*" > "${argument#--saveEngine=}" ;;
        --exportOutput=*) cp expected.json "${argument#--exportOutput=}" ;;
        --exportTimes=*) cp trace.json "${argument#--exportTimes=}"; echo "$*" > measured.txt ;;
    esac
done
"""


def old_python(version: str) -> str:
    """A bare Python of the age of a board's."""
    found = shutil.which(f"python{version}")
    if found is None or "shims" in found:
        found = next(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")), None)
    return found or pytest.skip(f"there is no Python {version} here")


def row(start_ms: float, compute_ms: float) -> dict[str, float]:
    """An inference of trtexec's trace: 0.25 ms to the GPU, the computation, 0.25 ms back."""
    return {
        "startEnqMs": start_ms,
        "startH2dMs": start_ms,
        "endH2dMs": start_ms + 0.25,
        "startComputeMs": start_ms + 0.25,
        "endComputeMs": start_ms + 0.25 + compute_ms,
        "endD2hMs": start_ms + 0.5 + compute_ms,
        "computeMs": compute_ms,
        "latencyMs": compute_ms + 0.5,
    }


TRACE = [row(1000.0, 9.0), *(row(3000.0 + 5 * i, 3.0 + i / 10) for i in range(20))]
"""The first is of the warm-up."""


@pytest.fixture
def jetson(tmp_path) -> Bundle:
    """A bundle with the real scripts and a hostile name, whose expected output trtexec gives."""
    folder = tmp_path / "jetson"
    manifest = replace(as_made_for("jetson"), model="$(touch x)'; rm")
    write_bundle(folder, manifest)
    for name in ("build.sh", "run.sh", "common.sh", "check.py"):
        shutil.copy(str(files("edgevid.backends.tensorrt") / "templates" / name), folder / name)
        (folder / name).chmod(0o755)
    variables = {
        "MODEL": "tiny", "PRECISION": "fp16", "PRECISIONS": "fp16 fp32", "INT8_TYPED": "0",
        "INPUTS": "clip:check/clip.bin", "INSTALL": "install it", "NEEDS": "8.2", "NEEDS_REASON": "a test",
        "COMPUTE_CAPABILITY": "7.2",
    }  # fmt: skip
    lines = (f"{key}={shlex.quote(value)}\n" for key, value in variables.items())
    (folder / "bundle.env").write_text("".join(lines))
    (folder / "check").mkdir()
    (folder / "check" / "expected.json").write_text(
        json.dumps(
            {"outputs": {"logits": [1.0, 2.0]}, "shapes": {"logits": [1, 2]}, "tolerance": {"fp16": 0.01}}
        )
    )
    write_outputs(folder, 2.0)
    (folder / "trace.json").write_text(json.dumps(TRACE))
    write_manifest(folder, manifest)
    return Bundle.open(folder)


def write_outputs(folder: Path, second: float) -> None:
    outputs = [{"name": "logits", "dimensions": "1x2", "values": [1.0, second]}]
    (folder / "expected.json").write_text(json.dumps(outputs))


@pytest.fixture
def board(tmp_path) -> Here:
    home = tmp_path / "home"
    home.mkdir()
    tool = tmp_path / "trtexec"
    tool.write_text(TRTEXEC)
    tool.chmod(0o755)
    return Here(home, TRTEXEC=str(tool))


def measure(board: Here, bundle: Bundle, scenario: str, phases: list[str] | None = None) -> dict:
    said = phases if phases is not None else []
    with Device(board) as device:
        return device.run(
            Request(str(bundle.path), scenario, 0.5, None, "here"), lambda event: said.append(event["phase"])
        )


@pytest.mark.parametrize("version", ["3.6", "3.8"])
def test_a_board_with_a_bare_python_brings_back_the_times_of_its_trtexec(board, jetson, version, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", old_python(version))
    phases: list[str] = []
    result = measure(board, jetson, "single-stream", phases)
    assert result["samples_ms"] == pytest.approx([3.5 + i / 10 for i in range(20)])
    assert result["environment"]["python"].startswith(version)
    assert result["environment"]["packages"] == {"tensorrt": "8.5"}
    assert result["latency_includes"] == ["transfers", "inference"]
    assert result["bundle_sha256"] == jetson.sha256 and result["model"] == "$(touch x)'; rm"
    assert result["memory_mib"]["peak"] is None and result["power_w"] is None
    assert "building the engine with the bundle's build.sh" in phases
    folder = board.board / "bundles" / jetson.sha256
    assert "--exposeDMA" in (folder / "measured.txt").read_text()
    again: list[str] = []
    rates = measure(board, jetson, "offline", again)
    assert rates["samples_ms"] == pytest.approx([5.1] * 19)
    assert not any("building" in phase for phase in again)
    assert "--exposeDMA" not in (folder / "measured.txt").read_text()
    assert not list(board.home.rglob("x"))


def test_an_engine_that_is_not_equal_to_pytorch_is_not_measured(board, jetson, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", old_python("3.8"))
    measure(board, jetson, "offline")
    write_outputs(board.board / "bundles" / jetson.sha256, 9.0)
    monkeypatch.setattr(Device, "push", lambda self, path: jetson.sha256)
    with pytest.raises(BenchmarkError, match="NOT EQUAL to PyTorch"):
        measure(board, jetson, "offline")


def test_what_trtexec_cannot_measure_is_refused(board, jetson, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", old_python("3.8"))
    with pytest.raises(BenchmarkError, match="use --scenario single-stream or offline"):
        measure(board, jetson, "server")
    request = Request(str(jetson.path), "offline", 0.5, None, "here", power="ina3221")
    with (
        pytest.raises(BenchmarkError, match="--power ina3221: trtexec measures no power"),
        Device(board) as device,
    ):
        device.run(request, lambda event: None)


def test_another_bundle_needs_packages_and_is_told_which(board, bundle, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", old_python("3.8"))
    with pytest.raises(BenchmarkError, match=r"has only Python 3\.8.*needs 3\.10 or later"):
        measure(board, bundle, "offline")


def test_a_python_without_packages_is_told_which(board, bundle, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", old_python("3.12"))
    with pytest.raises(BenchmarkError, match=r"without numpy and onnxruntime.*pip install numpy onnxruntime"):
        measure(board, bundle, "offline")


def test_what_ran_during_the_warm_up_does_not_count():
    assert len(trtexec.samples(TRACE, 2000)["latency_ms"]) == 20


@pytest.mark.parametrize("path", sorted(Path(str(files(PACKAGE))).glob("*.py")), ids=lambda path: path.name)
def test_what_runs_on_a_board_is_python_3_6(path):
    ast.parse(path.read_text("utf-8"), feature_version=(3, 6))

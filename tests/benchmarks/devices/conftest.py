"""A real OpenSSH server on loopback, and bundles of a few bytes, one of which runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import one_sshd
import pytest
from here_as_board import Here, python_with_simulated_worker
from one_bundle import CLIP, write_bundle

from edgevid.bundle.bundle import Bundle, write_manifest


@pytest.fixture(scope="session")
def server() -> Iterator[one_sshd.Server]:
    if one_sshd.WHY_NOT:
        pytest.skip(one_sshd.WHY_NOT)
    # Its cache is empty, and compiling kernels for every run would take minutes.
    with one_sshd.ssh_server(CXX="none") as running:
        yield running


@pytest.fixture
def ssh(server, monkeypatch, tmp_path) -> one_sshd.Server:
    """The server, for the settings of one test; the Python there is the one that runs the tests."""
    monkeypatch.setenv("EDGEVID_SSH_CONFIG", str(server.config))
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", sys.executable)
    return server


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Of files that no runtime opens."""
    return write_bundle(tmp_path / "bundle", **{"notes.txt": b"first"})


@pytest.fixture
def running_bundle(tmp_path: Path) -> Bundle:
    """Its network passes on the first five values of a clip."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path / "first"
    write_bundle(folder)
    bounds = [
        numpy_helper.from_array(np.array([n]), name) for name, n in {"start": 0, "end": 5, "axis": 1}.items()
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["clip"], ["flat"]),
            helper.make_node("Slice", ["flat", "start", "end", "axis"], ["logits"]),
        ],
        "first",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, CLIP.inputs[0].shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, CLIP.outputs[0].shape)],
        bounds,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    write_manifest(folder, CLIP)
    return Bundle.open(folder)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[Here]:
    """This computer as a board, with a simulated worker."""
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", str(python_with_simulated_worker(tmp_path)))
    home = tmp_path / "home"
    home.mkdir()
    board = Here(home)
    yield board
    for pid in board.workers():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def simulated_ssh(ssh, tmp_path, monkeypatch) -> one_sshd.Server:
    """The server, with a simulated worker there."""
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", str(python_with_simulated_worker(tmp_path)))
    return ssh

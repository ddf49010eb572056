"""A real OpenSSH server on loopback, and bundles of a few bytes, one of which runs."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import one_sshd
import pytest
from here_as_board import Here, python_with_simulated_worker
from one_bundle import write_bundle, write_running_bundle

from edgevid.benchmarks.devices import device, package
from edgevid.bundle.bundle import Bundle


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
    pytest.importorskip("onnx")
    return write_running_bundle(tmp_path / "first")


@pytest.fixture
def simulated(tmp_path, monkeypatch) -> None:
    """Boards have a simulated worker, which needs none of edgevid's files."""
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", str(python_with_simulated_worker(tmp_path)))
    monkeypatch.setattr(device, "checkout", dict)
    name = "edgevid/__init__.py"
    monkeypatch.setattr(package, "package_files", lambda: {name: b""})
    monkeypatch.setattr(package, "package_digests", lambda: {name: hashlib.sha256(b"").hexdigest()})


@pytest.fixture
def here(tmp_path, simulated) -> Iterator[Here]:
    """This computer as a board."""
    home = tmp_path / "home"
    home.mkdir()
    board = Here(home)
    yield board
    for pid in board.workers():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def simulated_ssh(ssh, simulated) -> one_sshd.Server:
    """The server, with a simulated worker there."""
    return ssh

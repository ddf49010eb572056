"""A measurement on arm64 behind a real OpenSSH server: server and ssh run natively, Python is emulated."""

from __future__ import annotations

import platform
import sys

import one_sshd
import pytest
from one_bundle import write_running_bundle

from edgevid.benchmarks.harness.harness import measure

pytestmark = [
    pytest.mark.skipif(
        platform.machine() != "aarch64",
        reason="this computer is not arm64: make test-arm64-devices makes one",
    ),
    pytest.mark.skipif(bool(one_sshd.WHY_NOT), reason=one_sshd.WHY_NOT),
]


def test_a_bundle_is_measured_on_arm64_over_ssh(tmp_path, monkeypatch):
    bundle = write_running_bundle(tmp_path / "bundle")
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", sys.executable)
    with one_sshd.ssh_server(CXX="none") as server:
        monkeypatch.setenv("EDGEVID_SSH_CONFIG", str(server.config))
        result = measure(bundle.path, duration_s=0.5, threads=1, device=server.address)
    assert result["environment"]["cpu"]["architecture"] == "aarch64"
    assert result["environment"]["address"] == server.address
    assert len(result["samples_ms"]) > 1

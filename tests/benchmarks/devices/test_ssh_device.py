"""Boards behind a real OpenSSH server on this machine."""

from __future__ import annotations

import pytest

from edgevid.benchmarks.devices import device_at
from edgevid.benchmarks.harness.harness import measure


@pytest.mark.slow
def test_a_bundle_is_measured_on_the_device_by_its_own_worker(ssh, running_bundle):
    phases = []
    result = measure(
        running_bundle.path,
        duration_s=0.2,
        threads=1,
        device=ssh.address,
        progress=lambda p: phases.append(p.phase),
    )
    assert len(result["samples_ms"]) > 10 and result["threads"] == 1
    assert result["bundle"] == str(running_bundle.path)
    assert result["environment"]["address"] == ssh.address
    assert result["environment"]["edgevid"]["version"]
    assert phases[0].startswith("connecting to ssh://") and "measuring" in phases
    assert not list((ssh.cache / "board" / "finished").iterdir()), "it was fetched"


def test_only_what_changed_is_sent(ssh, bundle):
    sent = []
    with device_at(ssh.address) as device:
        device.tell = lambda event: sent.append(event["phase"])
        folder = ssh.cache / "board" / "bundles" / device.push(bundle.path)
        assert sent[-1].startswith("sending")
        for name in bundle.manifest.files:
            assert (folder / name).read_bytes() == (bundle.path / name).read_bytes()
        sent.clear()
        device.push(bundle.path)
        assert sent == []
        (folder / "notes.txt").write_bytes(b"damaged")
        device.push(bundle.path)
        assert "sending 1 file(s)" in sent[-1]
        assert (folder / "notes.txt").read_bytes() == b"first"

"""``edgevid bench --detach`` and ``--collect``, on this computer as a board with a simulated worker."""

from __future__ import annotations

import json
import time

import pytest
from here_as_board import REFUSES

from edgevid.benchmarks import devices
from edgevid.benchmarks.devices.device import Device


@pytest.fixture
def anywhere(here, monkeypatch):
    """Every address leads to this computer."""

    def device_at(address: str) -> Device:
        here.address = address
        return Device(here)

    monkeypatch.setattr(devices, "device_at", device_at)
    return here


def wait_for(board, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(list((board.board / "finished").glob("*.json"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_detached_measurements_are_collected_once(anywhere, bundle, run_edgevid, tmp_path):
    options = ["--device", "ssh://nano", "--duration", "0.1"]
    started = run_edgevid("bench", bundle.path, *options, "--scenario", "single-stream", "--detach")
    assert started.status == 0 and started.out == ""
    assert "fetch the results with 'edgevid bench --device ssh://nano --collect'" in started.err
    wait_for(anywhere, 1)
    file = tmp_path / "results.json"
    collected = run_edgevid("bench", "--device", "ssh://nano", "--collect", "--json", file)
    assert collected.status == 0
    (result,) = json.loads(file.read_text())["results"]
    assert result["bundle"] == str(bundle.path) and result["environment"]["address"] == "ssh://nano"
    again = run_edgevid("bench", "--device", "ssh://nano", "--collect")
    assert again.status == 0 and "nothing has finished on ssh://nano" in again.err


def test_what_cannot_be_kept_is_not_removed_from_the_board(anywhere, bundle, run_edgevid, tmp_path):
    run_edgevid("bench", bundle.path, "--device", "ssh://nano", "--duration", "0.1", "--detach")
    wait_for(anywhere, 2)
    refused = run_edgevid(
        "bench", "--device", "ssh://nano", "--collect", "--json", tmp_path / "none" / "file"
    )
    assert refused.status == 2
    wait_for(anywhere, 2)


def test_what_failed_there_is_said(anywhere, bundle, run_edgevid):
    options = ["--duration", "0.1", "--scenario", "offline", "--threads", REFUSES]
    run_edgevid("bench", bundle.path, "--device", "ssh://nano", *options, "--detach")
    wait_for(anywhere, 1)
    collected = run_edgevid("bench", "--device", "ssh://nano", "--collect")
    assert collected.status == 2
    assert "bundle offline failed there: the bundle is cut short: export it again" in collected.err


@pytest.mark.parametrize("option", ["--detach", "--collect"])
def test_only_a_board_measures_alone(option, refuses):
    refuses(["bench", "some.bundle", option], option, "ssh://")
    refuses(["bench", "some.bundle", option, "--device", "rpc://tracker:1/nano"], option, "ssh://")


def test_a_wrong_address_is_refused_before_anything_is_exported(refuses):
    refuses(
        ["bench", "tsm_mbv2", "--device", "ssh://-oProxyCommand=x"],
        "is not the name of a host",
        "ssh://[USER@]",
    )

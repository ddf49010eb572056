"""Boards behind a real OpenSSH server on this machine."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from here_as_board import is_running
from one_bundle import CLIP, write_bundle

import edgevid
from edgevid.benchmarks.devices import device_at
from edgevid.benchmarks.devices.ssh import Ssh
from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.harness.protocol import Request, Settings
from edgevid.errors import BenchmarkError
from edgevid.host.environment import checkout
from edgevid.video import moving_shapes


def hello(address: str) -> None:
    with device_at(address) as device:
        device.finished()


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
    assert result["environment"]["edgevid"] == {"version": edgevid.__version__, **checkout()}
    assert phases[0].startswith("connecting to ssh://") and "measuring" in phases
    assert not list((ssh.cache / "board" / "finished").iterdir()), "it was fetched"


@pytest.mark.slow
def test_a_camera_on_the_device_shows_a_video_of_this_computer(ssh, running_bundle, tmp_path):
    video = tmp_path / "$(touch x).mp4"
    moving_shapes.write(video)
    result = measure(
        running_bundle.path, "camera", 0.3, device=ssh.address, settings=Settings(video=str(video), fps=20)
    )
    assert result["samples_ms"] and result["camera"]["video"] == str(video)


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


def test_the_runner_is_gone_soon_after_the_connection(simulated_ssh, bundle):
    phases, errors = [], []

    def run() -> None:
        request = Request(str(bundle.path), "offline", 60, None, simulated_ssh.address)
        try:
            with device_at(simulated_ssh.address) as device:
                device.run(request, lambda event: phases.append(event["phase"]))
        except BenchmarkError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: "measuring" in phases)
    (worker,) = workers_below(bundle.path.parent)
    simulated_ssh.cut()
    thread.join(20)
    assert f"'edgevid bench --device {simulated_ssh.address} --collect'" in errors[0]
    wait_until(lambda: not is_running(worker))
    hello(simulated_ssh.address)  # and the next connection is a new one


def test_a_detached_board_goes_on_without_a_connection(simulated_ssh, bundle):
    with device_at(simulated_ssh.address) as device:
        request = Request(str(bundle.path), "offline", 1.0, None, simulated_ssh.address)
        device.detach([request], lambda event: None)
    simulated_ssh.cut()
    finished = simulated_ssh.cache / "board" / "finished"
    assert not list(finished.glob("*.json"))
    wait_until(lambda: list(finished.glob("*.json")))
    with device_at(simulated_ssh.address) as device:
        (entry,) = device.finished()
        assert device.result(entry)["bundle"] == str(bundle.path)
        device.forget([entry])


def test_no_name_reaches_a_shell(simulated_ssh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("$(touch x)", "; touch x", "-oProxyCommand=touch x", "a b'\"`touch x`", "x|y&z", "ü")
    folder = tmp_path / "$(touch x); `touch x`\n'\"-rf"
    bundle = write_bundle(folder, replace(CLIP, model=names[3]), **{name: name.encode() for name in names})
    phases = []
    with device_at(simulated_ssh.address) as device:
        request = Request(str(bundle.path), "offline", 0, None, simulated_ssh.address)
        result = device.run(request, lambda event: phases.append(event["phase"]))
    assert result["bundle"] == str(folder)
    there = simulated_ssh.cache / "board" / "bundles" / bundle.sha256
    for name in names:
        assert (there / name).read_bytes() == name.encode()
    assert not any(folder.joinpath("x").exists() for folder in (tmp_path, there, Path.home()))


def test_the_path_of_a_python_is_one_word(ssh, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", f"{tmp_path}/$(touch {tmp_path}/x)'; touch {tmp_path}/x")
    with pytest.raises(BenchmarkError, match="has no Python"):
        hello(ssh.address)
    assert not (tmp_path / "x").exists()


def test_what_a_login_script_prints_is_no_answer(simulated_ssh, tmp_path, monkeypatch):
    key = (simulated_ssh.folder / "stranger.pub").read_text()
    greeting = 'command="echo Welcome to nano; echo {}; exec sh -c \\"$SSH_ORIGINAL_COMMAND\\""'
    with (simulated_ssh.folder / "authorized").open("a") as file:
        file.write(f"{greeting} {key}")
    use_settings(simulated_ssh, tmp_path, monkeypatch, f"IdentityFile {simulated_ssh.folder}/stranger")
    hello(simulated_ssh.address)


def test_a_refused_key_a_strange_host_and_a_closed_port_are_a_line_each(server, tmp_path, monkeypatch):
    user, port = server.address.removeprefix("ssh://").split("@")[0], server.port
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    changed = tmp_path / "changed"
    changed.write_text(f"[127.0.0.1]:{port} {(tmp_path / 'key.pub').read_text()}")
    by_hand = f"-p {port} {user}@127.0.0.1"
    for settings, words in {
        f"IdentityFile {tmp_path}/key": f"refused your keys.*ssh-copy-id {by_hand}",
        "UserKnownHostsFile /dev/null": f"its host key is unknown: run 'ssh {by_hand}' once",
        f"UserKnownHostsFile {changed}": rf"another one than last time.*ssh-keygen -R '\[127.0.0.1\]:{port}'",
        "NoSuchOption yes": "does not like its settings",
    }.items():
        use_settings(server, tmp_path, monkeypatch, settings)
        with pytest.raises(BenchmarkError, match=words):
            hello(server.address)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    monkeypatch.setenv("EDGEVID_SSH_CONFIG", str(server.config))
    with pytest.raises(BenchmarkError, match="start sshd there"):
        hello(f"ssh://{user}@127.0.0.1:{closed}")
    with pytest.raises(BenchmarkError, match="there is no host of that name"):
        hello("ssh://nano.invalid")


def test_a_command_refuses_in_one_line(server, bundle, refuses, monkeypatch):
    monkeypatch.setenv("EDGEVID_SSH_CONFIG", str(server.config))
    monkeypatch.setenv("EDGEVID_DEVICE_PYTHON", "/none/python3")
    line = refuses(["bench", str(bundle.path), "--device", server.address], "has no Python '/none/python3'")
    assert "EDGEVID_DEVICE_PYTHON" in line


def test_measurements_share_a_connection(ssh):
    hello(ssh.address)
    options = Ssh(device_at(ssh.address)._link._address).options()
    check = ["ssh", *options, "-O", "check", "127.0.0.1"]
    assert subprocess.run(check, capture_output=True).returncode == 0


def test_a_folder_of_sockets_that_others_can_enter_is_not_used(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime:  # short, as paths of sockets must be
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        folder = Path(runtime, "edgevid")
        folder.mkdir()
        folder.chmod(0o755)
        link = device_at("ssh://nano")._link
        assert not any("ControlPath" in word for word in link.options())
        folder.chmod(0o700)
        assert any("ControlPath" in word for word in link.options())


def use_settings(server, folder: Path, monkeypatch, lines: str) -> None:
    """The client's settings, but for ``lines`` before them."""
    settings = server.config.read_text().replace("    IdentityFile", f"    {lines}\n    IdentityFile", 1)
    if lines.startswith("IdentityFile"):
        settings = settings.replace(f"    IdentityFile {server.folder}/user\n", "")
    config = folder / f"config{abs(hash(lines))}"
    config.write_text(settings)
    monkeypatch.setenv("EDGEVID_SSH_CONFIG", str(config))


def workers_below(folder: Path) -> list[int]:
    script = str(folder / "worker.py").encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if script in words:
                found.append(int(entry.name))
    return found


def wait_until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

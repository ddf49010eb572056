"""What a board does, whatever it is reached by: this computer as a board, its worker simulated."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import pytest
from here_as_board import OUT_OF_MEMORY, REFUSES, Here, is_running
from one_bundle import write_bundle

from edgevid.benchmarks.devices import device as device_module
from edgevid.benchmarks.devices import package, program
from edgevid.benchmarks.devices.board import files, main
from edgevid.benchmarks.devices.board.lock import Lock, Problem
from edgevid.benchmarks.devices.connection import Connection
from edgevid.benchmarks.devices.device import Device
from edgevid.benchmarks.harness.protocol import Request
from edgevid.errors import BenchmarkError, BundleError


def request(bundle, duration_s: float = 0.0, threads: int | None = None) -> Request:
    return Request(str(bundle.path), "single-stream", duration_s, threads, "here")


def wait_until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Running:
    """A measurement in a thread: its phases, and its result or error."""

    def __init__(self, here: Here, what: Request) -> None:
        self.phases: list[str] = []
        self.result = self.error = None
        self.device = Device(here)
        self.thread = threading.Thread(target=self._run, args=(what,))
        self.thread.start()

    def _run(self, what: Request) -> None:
        try:
            with self.device:
                self.result = self.device.run(what, lambda event: self.phases.append(event["phase"]))
        except BenchmarkError as error:
            self.error = error

    def says(self, phase: str) -> bool:
        return any(phase in one for one in self.phases)


def test_a_measurement_leaves_nothing_in_the_journal(here, bundle):
    with Device(here) as device:
        result = device.run(request(bundle), lambda event: None)
        assert result["bundle"] == str(bundle.path)
        assert result["environment"]["address"] == "here"
        assert device.finished() == []


def test_the_second_user_waits_and_sees_for_whom(here, bundle, monkeypatch):
    names = iter(["alice@laptop", "bob@desk"])
    monkeypatch.setattr(device_module, "owner", lambda: next(names))
    alice = Running(here, request(bundle, 1.0))
    wait_until(lambda: alice.says("measuring"))
    bob = Running(Here(here.home), request(bundle))
    wait_until(lambda: bob.says("waiting"))
    assert bob.phases[-1] == "waiting for alice@laptop (measuring tiny, 0 min)"
    alice.thread.join()
    bob.thread.join()
    assert alice.result and bob.result


def test_who_was_killed_holds_no_lock(here, bundle):
    alice = Running(here, request(bundle, 60))
    wait_until(lambda: alice.says("measuring"))
    for pid in (here.process.pid, *here.workers()):
        os.kill(pid, signal.SIGKILL)
    bob = Running(Here(here.home), request(bundle))
    bob.thread.join(20)
    assert bob.result
    alice.thread.join(20)
    assert "was lost" in str(alice.error) and "--collect" in str(alice.error)


def test_the_lock_is_held_while_a_worker_runs_that_nobody_waits_for(here, bundle):
    alice = Running(here, request(bundle, 60))
    wait_until(lambda: alice.says("measuring"))
    os.kill(here.process.pid, signal.SIGKILL)
    alice.thread.join(20)
    (worker,) = here.workers()
    bob = Running(Here(here.home), request(bundle))
    wait_until(lambda: bob.says("waiting"))
    os.kill(worker, signal.SIGKILL)
    bob.thread.join(20)
    assert bob.result


def test_the_runner_ends_when_its_input_does(here, bundle):
    running = Running(here, request(bundle, 60))
    wait_until(lambda: running.says("measuring"))
    (worker,) = here.workers()
    running.device._connection._input.close()
    wait_until(lambda: not is_running(worker))
    running.thread.join(20)
    assert "was lost" in str(running.error)


def test_a_finished_measurement_survives_the_loss_of_the_connection(here, bundle, monkeypatch):
    def lost(self, request, event):
        raise BenchmarkError("lost")

    with monkeypatch.context() as patch, Device(here) as device, pytest.raises(BenchmarkError, match="lost"):
        patch.setattr(Device, "_result", lost)
        device.run(request(bundle), lambda event: None)
    said = []
    with Device(here, lambda event: said.append(event["phase"])) as device:
        (entry,) = device.finished()
        result = device.result(entry)
        assert result["bundle"] == str(bundle.path)
        assert result["measurement_id"] == device.result(entry)["measurement_id"] == entry["id"]
        device.forget([entry])
        assert device.finished() == []
    assert "1 finished measurement(s) wait there: --collect fetches them" in said


def test_a_detached_board_measures_alone_and_keeps_the_results_in_order(here, bundle):
    with Device(here) as device:
        device.detach([request(bundle, 0.3), request(bundle, 0.1, threads=2)], lambda event: None)
    here.process.wait(10)
    bob = Running(Here(here.home), request(bundle))  # waits, since the lock went on with the board
    bob.thread.join(20)
    assert bob.result and bob.says("waiting")
    with Device(here) as device:
        entries = device.finished()
        assert [entry["request"]["threads"] for entry in entries] == [None, 2]
        assert [device.result(entry)["samples_ms"] for entry in entries] == [[1.0, 2.0]] * 2


def test_results_are_their_owners(here, bundle, monkeypatch):
    with Device(here) as device:
        device.detach([request(bundle)], lambda event: None)
    finished = here.board / "finished"
    wait_until(lambda: list(finished.glob("*.json")))
    with monkeypatch.context() as patch:
        patch.setattr(device_module, "owner", lambda: "bob@desk")
        with Device(here) as device:
            assert device.finished() == []
    with Device(here) as device:
        assert len(device.finished()) == 1


def test_how_a_worker_ended_is_said(here, bundle):
    with Device(here) as device:
        with pytest.raises(BenchmarkError, match=r"SIGKILL.*memory ran out.*a library says hello"):
            device.run(request(bundle, threads=OUT_OF_MEMORY), lambda event: None)
        with pytest.raises(BundleError, match="cut short"):
            device.run(request(bundle, threads=REFUSES), lambda event: None)
        assert device.finished() == []


def test_a_board_that_says_nothing_is_lost(here):
    """As behind a cable that was pulled out: no end, no word."""
    connect = here.open
    here.open = lambda command, errors: connect("exec sleep 60", errors)
    connection = Connection(here, None, silence_s=0.2)
    with contextlib.closing(connection), pytest.raises(BenchmarkError, match="here has said nothing for 0 s"):
        connection.ask({"do": "hello", "owner": "alice"})


def test_a_python_with_the_same_edgevid_is_sent_none(here, bundle, tmp_path):
    site = tmp_path / "site"
    for name, content in package.package_files().items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
    here.variables["PYTHONPATH"] = str(site)
    with Device(here) as device:
        device.run(request(bundle), lambda event: None)
        assert not (here.board / "packages").exists()
        (site / "edgevid/__init__.py").write_text("# of another version\n")
        device.run(request(bundle), lambda event: None)
        assert len(list((here.board / "packages").iterdir())) == 1


def test_a_full_disk_is_said_before_anything_is_sent(here, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        here.variables["EDGEVID_CACHE"] = str(small)
        bundle = write_bundle(tmp_path / "large", **{"large.bin": os.urandom(200_000)})
        with Device(here) as device, pytest.raises(BenchmarkError, match="the disk of here is full: free"):
            device.run(request(bundle), lambda event: None)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_disk_that_fills_up_is_said():
    full = main.problem(OSError(errno.ENOSPC, "No space left on device"))
    assert full["message"].startswith("its disk is full: free space there")


def test_another_account_of_the_board_waits_too():
    """Its lock is in a folder for all, where no account may remove another's file."""
    if os.getuid():
        pytest.skip("another account needs root")
    code = """
import os, sys
from edgevid.benchmarks.devices.board.lock import Lock
os.setgid(65534)
os.setuid(65534)
lock = Lock(sys.argv[1])
lock.acquire("bob", "x", lambda holder: print(holder["owner"], holder["doing"], flush=True))
print(lock.holder()["owner"])
"""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o1777)
        lock = Lock(f"{folder}/lock")
        lock.acquire("alice@laptop", "measuring tiny", lambda holder: None)
        bob = subprocess.Popen(
            [sys.executable, "-c", code, lock.path],
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin"},
        )
        assert bob.stdout.readline() == "alice@laptop measuring tiny\n"
        lock.release()
        assert bob.communicate(timeout=20)[0] == "bob\n"


def test_a_stranger_gets_no_file_out_of_a_folder(tmp_path):
    for name in ("../x", "/x", "a/../../x", "a//x", "", "a\0b"):
        with pytest.raises(Problem, match="do not use this bundle"):
            files.path_of(str(tmp_path), name)
    with pytest.raises(Problem):
        files.folder_of(str(tmp_path), "bundles", "../../etc")


def test_what_was_not_asked_for_or_arrives_damaged_is_refused(tmp_path):
    def unpack(name: str, content: bytes, wanted: dict[str, str]) -> None:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        stream.seek(0)
        files.unpack(stream, str(tmp_path), wanted)

    digest = hashlib.sha256(b"right").hexdigest()
    with pytest.raises(Problem, match="arrived damaged"):
        unpack("a", b"wrong", {"a": digest})
    with pytest.raises(Problem, match="nobody asked for"):
        unpack("../x", b"right", {"a": digest})
    unpack("a", b"right", {"a": digest})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_oldest_bundles_make_room(tmp_path):
    identities = [f"{number:064x}" for number in range(files.KEPT["videos"] + 2)]
    for number, identity in enumerate(identities):
        assert files.missing(str(tmp_path), "videos", identity, {"video": identity}) == ["video"]
        os.utime(tmp_path / "videos" / identity, (number, number))
    assert {folder.name for folder in (tmp_path / "videos").iterdir()} >= set(identities[2:])
    assert not (tmp_path / "videos" / identities[0]).exists()


def test_the_program_does_not_wait_for_who_is_gone_before_it_began(here):
    with tempfile.TemporaryFile() as errors:
        process = here.open(program.command(), errors)
        process.stdin.close()
        assert process.wait(10) != 0
        process.stdout.close()


def test_a_board_without_python_is_told_to_install_one(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEVID_DEVICE_PYTHON", raising=False)
    (tmp_path / "sh").symlink_to("/bin/sh")
    nothing = Here(tmp_path, PATH=str(tmp_path))
    with (
        Device(nothing) as device,
        pytest.raises(BenchmarkError, match="here has no Python 3: install python3"),
    ):
        device.finished()

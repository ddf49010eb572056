"""No process of edgevid opens a connection or leaves an identifier, however long it lives."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgevid.host import telemetry
from edgevid.host.cache import cache_folder

pytestmark = pytest.mark.slow

LIVES_S = 13
"""ONNX Runtime 1.32 makes its first upload after 9 s."""

# Where one of these is set, ONNX Runtime takes the process for a test and is silent.
HIDDEN = (
    *("APPVEYOR", "CI", "CIRCLECI", "CODEBUILD_BUILD_ID", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL"),
    *("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "TEAMCITY_VERSION", "TF_BUILD", "TRAVIS"),
)

RUN = """
import sys, time
import onnxruntime
end = time.monotonic() + {seconds}
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
while time.monotonic() < end:
    time.sleep(0.2)
"""
OPEN_BUNDLE = """
import sys, time
import edgevid
end = time.monotonic() + {seconds}
session = edgevid.open(sys.argv[1])
inference = session.prepare()
while time.monotonic() < end:
    inference()
    time.sleep(0.2)
"""
PEER = """
import time
from edgevid.host.telemetry import disable_openvino_telemetry
disable_openvino_telemetry()
import openvino
openvino.Core()
time.sleep(3)
"""


@dataclass(frozen=True)
class Seen:
    """The sockets that a process opened, and the files that it wrote into the user's folders."""

    sockets: list[str]
    files: list[str]


class Watched:
    """A Python program with a home of its own, whose sockets are recorded by strace, or else polled for."""

    def __init__(self, folder: Path, program: str, *arguments: str) -> None:
        folder.mkdir()
        self.home, self.trace, self.sockets = folder / "home", folder / "trace", set()
        self.home.mkdir()
        environment = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        environment.pop("XDG_CACHE_HOME", None)
        environment |= {"HOME": str(self.home), "EDGEVID_CACHE": str(cache_folder())}
        strace = ["strace", "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(self.trace)]
        self.traced = can_trace()
        command = [*(strace if self.traced else []), sys.executable, "-c", program, *arguments]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def poll(self) -> bool:
        """Look for sockets that are open now, where strace does not; whether the program goes on."""
        for link in [] if self.traced else Path(f"/proc/{self.process.pid}/fd").glob("*"):
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:"):
                self.sockets.add(target)
        return self.process.poll() is None

    def seen(self) -> Seen:
        error = self.process.communicate()[1]
        assert self.process.returncode == 0, error
        traced = self.trace.read_text().splitlines() if self.trace.exists() else []
        files = sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())
        return Seen([*traced, *self.sockets], files)


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-qq", "-o", os.devnull, "true"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def watch(programs: Sequence[Watched]) -> list[Seen]:
    while any([program.poll() for program in programs]):
        time.sleep(0.02)
    return [program.seen() for program in programs]


@pytest.fixture(scope="module")
def seen(clip_bundle, tmp_path_factory) -> SimpleNamespace:
    """A session of edgevid, ONNX Runtime by itself, and OpenVINO as the benchmarks import it."""
    folder = tmp_path_factory.mktemp("watched")
    script = RUN.format(seconds=LIVES_S)
    names = {
        "session": Watched(folder / "a", OPEN_BUNDLE.format(seconds=LIVES_S), str(clip_bundle.path)),
        "plain": Watched(folder / "b", script, str(clip_bundle.path / "model.onnx")),
        "peer": Watched(folder / "c", PEER),
    }
    return SimpleNamespace(**dict(zip(names, watch(list(names.values())))))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and strace are Linux's")
def test_a_session_opens_no_socket_and_leaves_no_identifier(seen):
    assert seen.session == Seen([], [])


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and strace are Linux's")
def test_onnx_runtime_by_itself_is_caught(seen):
    """The test above can fail."""
    if not any("deviceid" in file for file in seen.plain.files):
        pytest.skip("this ONNX Runtime has no telemetry")
    if can_trace():
        assert any("socket(AF_INET" in line for line in seen.plain.sockets)


def test_openvino_as_the_benchmarks_import_it_is_silent(seen):
    pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    assert seen.peer == Seen([], [])


@pytest.mark.parametrize(
    "module",
    ["edgevid", "edgevid.kernels", "edgevid.benchmarks.harness.worker", "edgevid.cli", "edgevid.targets"],
)
def test_every_part_sets_the_variable_before_onnx_runtime_is_imported(module):
    program = (
        f"import os, sys, {module}; assert 'onnxruntime' not in sys.modules\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    for setting, expected in ((None, "1"), ("0", "0"), ("", "")):
        environment = {**os.environ, "ORT_DISABLE_TELEMETRY": setting or ""}
        if setting is None:
            del environment["ORT_DISABLE_TELEMETRY"]
        process = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        assert process.stdout.strip() == expected, process.stderr


@pytest.mark.parametrize(("version", "warned"), [("1.28.1", False), ("1.29.0", True), ("1.32.0rc1", True)])
def test_an_onnx_runtime_that_was_there_first_is_told_and_the_user_warned(
    monkeypatch, caplog, version, warned
):
    calls = []
    fake = SimpleNamespace(__version__=version, disable_telemetry_events=lambda: calls.append("off"))
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.delenv(telemetry.VARIABLE, raising=False)
    with caplog.at_level(logging.WARNING, logger="edgevid"):
        telemetry.disable_telemetry()
        telemetry.disable_telemetry()
    assert os.environ[telemetry.VARIABLE] == "1"
    assert (calls, len(caplog.records)) == ((["off"], 1) if warned else ([], 0))

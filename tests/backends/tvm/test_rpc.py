"""A board over TVM's RPC runs, streams and times a bundle, with a real tracker and server on this machine."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import threading

import numpy as np
import pytest
from rpc_lab import running_board, running_lab
from torch import nn

import edgevid
from edgevid import parity
from edgevid.backends.tvm import rpc as tvm_rpc
from edgevid.backends.tvm import toolchain
from edgevid.backends.tvm.rpc import Address
from edgevid.errors import BackendError, EdgevidError
from edgevid.zoo.layers.shift import TemporalShift

pytestmark = pytest.mark.slow

for package in ("tvm", "tornado", "cloudpickle"):
    pytest.importorskip(
        package, reason="TVM's RPC is not installed: pip install 'edgevid[tvm]' tornado cloudpickle"
    )
if not any(map(shutil.which, toolchain.here().compilers)):
    pytest.skip(f"no C++ compiler: apt install {toolchain.here().package}", allow_module_level=True)

FRAMES, SIZE, CLASSES = 3, 16, 5


class SmallNetwork(nn.Module):
    """A network with one causal shift, for clips and streams."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shift = nn.Conv2d(3, 16, 3, 2, 1), TemporalShift("causal")
        self.mix, self.classifier = nn.Conv2d(16, 16, 1), nn.Linear(16, CLASSES)

    def frame_logits(self, clip):
        frames = clip.shape[1]
        x = self.stem(clip.flatten(0, 1)).relu()
        x = self.mix(self.shift(x, frames)).relu().mean((2, 3))
        return self.classifier(x).unflatten(0, (-1, frames))

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """The bundles of the clip and of the stream."""
    folder = tmp_path_factory.mktemp("bundles")
    options = {"backend": "tvm", "frames": FRAMES, "size": SIZE}
    return {
        name: edgevid.export(SmallNetwork(), output=folder / name, stream=name == "stream", **options)
        for name in ("clip", "stream")
    }


def test_a_board_computes_what_pytorch_does(lab, bundles):
    session = edgevid.open(bundles["clip"].path, device=lab.url)
    clip, expected = parity.load(bundles["clip"].path)
    assert parity.compare(session.run(clip), expected, 1e-5).ok
    assert not parity.compare(session.run(2 * clip), expected, 1e-5).ok
    assert session.run(np.concatenate([clip, clip]))["logits"].shape == (2, CLASSES)


def test_a_stream_keeps_its_states_on_the_board(lab, bundles):
    stream = edgevid.open(bundles["stream"].path, device=lab.url).stream()
    clip, expected = parity.load(bundles["stream"].path)
    logits = np.concatenate([stream.push(frame[None])["logits"] for frame in clip[0]])
    assert parity.compare({"logits": logits}, expected, 1e-5).ok
    assert not np.array_equal(stream.push(clip[0][:1])["logits"], logits[:1])
    stream.reset()
    np.testing.assert_array_equal(stream.push(clip[0][:1])["logits"], logits[:1])


def test_a_released_board_is_free_again(lab, bundles):
    for _ in range(3):
        edgevid.open(bundles["clip"].path, device=lab.url)


def test_the_board_times_by_its_own_clock(lab, bundles):
    session = edgevid.open(bundles["stream"].path, device=lab.url, threads=1)
    samples = session.timer()(20)
    assert len(samples) == 20
    assert all(isinstance(ns, int) and 0 < ns < 1e9 for ns in samples)
    assert session.threads == 1
    assert session.board.call("no.such.function", default="none") == "none"


def test_a_session_on_this_machine_has_no_timer(bundles):
    with pytest.raises(EdgevidError, match="only a board over RPC has a timer"):
        edgevid.open(bundles["clip"].path).timer()


def test_bench_saves_the_samples_and_the_environment_of_the_board(lab, bundles, run_edgevid, tmp_path):
    file = tmp_path / "bench.json"
    result = run_edgevid(
        "bench", bundles["clip"].path, "--device", lab.url, "--duration", 0.2, "--json", file
    )
    assert result.status == 0, result.err
    (bench,) = json.loads(file.read_text())["results"]
    assert bench["scenario"] == "single-stream"
    assert bench["backend"] == "tvm"
    assert sum(bench["samples_ms"]) == pytest.approx(1000 * bench["duration_s"])
    assert bench["duration_s"] >= 0.2
    assert bench["warmup_ms"]
    assert bench["latency_ms"]["p50"] == pytest.approx(np.median(bench["samples_ms"]))
    environment = bench["environment"]
    assert environment["rpc"] == lab.url
    assert "board 'lab' over RPC" in environment["device"]
    assert environment["device"] in result.out
    # Values that could not be read on the board are not filled in with this machine's.
    assert environment["python"] is None
    assert environment["memory_total_mib"] is None
    assert environment["cpu"]["usable_cores"] is None
    assert "cpu.usable_cores" in environment["not_read"]
    assert bench["memory_mib"]["peak"] is None


def test_the_environment_is_that_of_the_board():
    from edgevid.benchmarks.harness.remote import observe_board

    class FakeBoard:
        address, triple = Address("10.0.0.2", 9190, "pi5"), "aarch64-unknown-linux-gnu"
        files = {  # noqa: RUF012
            "/sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0",
            "/sys/devices/system/cpu/possible": "0-3",
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand",
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000",
            "/sys/class/thermal/thermal_zone0/temp": "51250",
            "/sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "/etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
        }

        def read(self, path):
            return self.files.get(path)

        def call(self, name, *arguments, default=None):
            return {"target.llvm_get_system_cpu": "cortex-a76"}.get(name, default)

    environment = observe_board(FakeBoard())
    assert environment["device"] == (
        "Raspberry Pi 5 Model B Rev 1.0; board 'pi5' over RPC (cortex-a76, aarch64, 4 cores)"
    )
    assert environment["cpu"]["frequency_mhz"] == 2400
    assert environment["cpu"]["governor"] == "ondemand"
    assert environment["temperature_c"] == {"cpu-thermal": 51.25}
    assert environment["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert "board" not in environment["not_read"]


@pytest.mark.parametrize(
    "url",
    [
        "rpc://10.0.0.2/pi",
        "rpc://10.0.0.2:x/pi",
        "rpc://10.0.0.2:0/pi",
        "rpc://h:70000/pi",
        "rpc://h:9190",
        "rpc:",
        "x",
    ],
)
def test_a_wrong_address_is_refused(bundles, url):
    with pytest.raises(BackendError, match="use rpc://HOST:PORT/KEY"):
        edgevid.open(bundles["clip"].path, device=url)


def test_an_address_may_be_ipv6():
    assert str(Address.parse("rpc://[::1]:9190/pi")) == "rpc://[::1]:9190/pi"


def test_an_address_without_a_tracker_is_refused(bundles, refuses):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"rpc://127.0.0.1:{port}/lab"
    arguments = ["run", bundles["clip"].path, "--video", "x.mp4", "--device", url]
    refuses(arguments, f"no TVM tracker responds at 127.0.0.1:{port}", f"rpc_tracker --port {port}")


def test_a_server_that_is_not_a_tracker_is_refused(bundles):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond():
            connection, _ = server.accept()
            with connection:
                connection.recv(4)
                connection.sendall(struct.pack("<i", 404))

        threading.Thread(target=respond, daemon=True).start()
        with pytest.raises(BackendError, match="the server there is not a tracker"):
            edgevid.open(bundles["clip"].path, device=f"rpc://127.0.0.1:{server.getsockname()[1]}/lab")


def test_an_unknown_key_is_refused_with_the_known_ones(lab, bundles, refuses):
    url = lab.url.replace("/lab", "/pi5")
    words = ("no board with the key 'pi5', only lab", f"rpc_server --tracker {lab.tracker} --key pi5")
    refuses(["bench", bundles["clip"].path, "--device", url], *words)


def test_waiting_for_a_busy_board_has_a_limit(lab, bundles, monkeypatch):
    monkeypatch.setattr(tvm_rpc, "BOARD_TIMEOUT_S", 0.3)
    first = edgevid.open(bundles["clip"].path, device=lab.url)
    with pytest.raises(BackendError, match=r"no board with the key 'lab' was free within 0\.3 s"):
        edgevid.open(bundles["clip"].path, device=lab.url)
    del first


def test_a_bundle_of_another_backend_is_refused(clip_bundle, refuses):
    arguments = ["run", clip_bundle.path, "--video", "x.mp4", "--device", "rpc://127.0.0.1:1/lab"]
    refuses(arguments, "was made with onnxruntime", "--backend tvm")


@pytest.mark.parametrize(
    ("architecture", "triple", "fits"),
    [
        ("aarch64", "aarch64-unknown-linux-gnu", True),
        ("aarch64", "x86_64-unknown-linux-gnu", False),
        ("aarch64-android", "aarch64-unknown-linux-android24", True),
        ("aarch64-android", "aarch64-unknown-linux-gnu", False),
        ("aarch64-android", "", True),
    ],
)
def test_a_library_fits_a_board_of_its_processor_and_system(architecture, triple, fits):
    assert tvm_rpc.fits(architecture, triple) is fits


def test_a_library_for_another_processor_is_refused(lab, bundles, tmp_path):
    shutil.copytree(bundles["clip"].path, tmp_path / "other")
    description = tmp_path / "other/model.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "architecture": "riscv64"}))
    with pytest.raises(BackendError, match=r"is for riscv64, but the board at .* is"):
        tvm_rpc.open_remote(tmp_path / "other/model.so", lab.url, None)


def test_a_board_that_dies_is_one_line_and_leaves_no_process(lab, bundles, tmp_path):
    with running_board(tmp_path, lab.tracker, "fragile") as board:
        session = edgevid.open(bundles["clip"].path, device=board.url)
        clip, _ = parity.load(bundles["clip"].path)
        session.run(clip)
    with pytest.raises(BackendError, match="stopped responding"):
        session.run(clip)
    assert len(board.processes) > 1, "the server has children"
    assert not [process for process in board.processes if process.is_running()]

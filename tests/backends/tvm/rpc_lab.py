"""A TVM tracker and boards that register with it, on this machine; their processes end with the block."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

KEY = "lab"
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Lab:
    """``url`` is the address of the board, ``processes`` are the board's."""

    url: str
    tracker: str
    processes: tuple[psutil.Process, ...]


@contextlib.contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """A tracker with a board, without PyTorch. Their output goes to files in ``folder``."""
    (port,) = free_ports(1)
    options = ("--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1))
    with running(folder, "rpc_tracker", *options) as process:
        wait_until(lambda: listens(port), process, folder)
        with running_board(folder, f"127.0.0.1:{port}", KEY) as lab:
            yield lab


@contextlib.contextmanager
def running_board(folder: Path, tracker: str, key: str) -> Iterator[Lab]:
    """One more board."""
    (port,) = free_ports(1)
    options = ("--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1))
    with running(folder, "rpc_server", *options, "--tracker", tracker, "--key", key) as process:
        wait_until(lambda: key in registered_keys(tracker), process, folder)
        yield Lab(f"rpc://{tracker}/{key}", tracker, family(process))


@contextlib.contextmanager
def running(folder: Path, program: str, *options: str) -> Iterator[subprocess.Popen]:
    """A TVM program in its own process group; SIGTERM leaves its children, so they are killed too."""
    command = [sys.executable, "-m", f"tvm.exec.{program}", *options]
    (folder / "torch.py").write_text("raise ImportError('a board has no PyTorch')\n")  # TVM would import it
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    with (folder / f"{program}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, "PYTHONPATH": path}
        )
    try:
        yield process
    finally:
        members = family(process)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(members, timeout=3)
        for member in alive:
            member.kill()
        process.wait()
        psutil.wait_procs(alive, timeout=3)


def family(process: subprocess.Popen) -> tuple[psutil.Process, ...]:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        return (parent, *parent.children(recursive=True))
    return ()


def registered_keys(tracker: str) -> list[str]:
    from tvm import rpc

    host, _, port = tracker.partition(":")
    servers = rpc.connect_tracker(host, int(port)).summary()["server_info"]
    return [server["key"].partition(":")[2] for server in servers]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def wait_until(condition, process: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        output = "\n".join(log.read_text()[-500:] for log in folder.glob("*.log"))
        assert process.poll() is None, output
        assert time.monotonic() < deadline, output
        time.sleep(0.1)

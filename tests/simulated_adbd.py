"""A simulated Android device for the real ``adb`` client: its commands run on this computer.

It speaks adbd's transport over TCP (packets CNXN, OPEN, OKAY, WRTE, CLSE), the services ``shell,v2`` and
``sync:`` (STAT and SEND, for files below its folder), and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

WHY_NOT = "" if shutil.which("adb") else "adb is not installed (Debian: apt install adb)"
MAX_PACKET = 1 << 18
VERSION = 0x01000001  # no checksums
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
"""The kinds of packets inside a shell."""


class Device:
    """Listens on ``port``. With ``trusts`` false it answers every greeting by asking who is there."""

    def __init__(self, folder: Path, trusts: bool = True) -> None:
        self.folder, self.trusts = folder, trusts
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=Transport(self, self.server.accept()[0]).run, daemon=True).start()


class Transport:
    """A client's connection, with a stream for each service that it opened."""

    def __init__(self, device: Device, connection: socket.socket) -> None:
        self.device, self._connection = device, connection
        self._file = connection.makefile("rb")
        self._lock = threading.Lock()
        self.streams: dict[int, Stream] = {}

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        number = int.from_bytes(command, "little")
        header = struct.pack(
            "<6I", number, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF
        )
        with self._lock:
            self._connection.sendall(header + data)

    def run(self) -> None:
        with contextlib.suppress(OSError, struct.error), self._connection:
            while True:
                number, first, second, length, _, _ = struct.unpack("<6I", self._file.read(24))
                self._answer(number.to_bytes(4, "little"), first, second, self._file.read(length))
        for stream in list(self.streams.values()):
            stream.hang_up()

    def _answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        stream = self.streams.get(second)
        if command in (b"CNXN", b"AUTH") and not self.device.trusts:
            self.send(b"AUTH", 1, 0, bytes(20))
        elif command == b"CNXN":
            banner = b"device::ro.product.name=simulated;ro.product.model=simulated;features=shell_v2,cmd"
            self.send(b"CNXN", VERSION, MAX_PACKET, banner)
        elif command == b"OPEN":
            self._open(first, data.rstrip(b"\0").decode())
        elif stream is None:
            return
        elif command == b"OKAY":
            stream.acknowledged.release()
        elif command == b"WRTE":
            stream.inbox.put(data)
            self.send(b"OKAY", second, first)
        elif command == b"CLSE":
            stream.hang_up()

    def _open(self, remote: int, service: str) -> None:
        kind = Shell if service.startswith("shell,v2") else Sync if service == "sync:" else None
        if kind is None:
            self.send(b"CLSE", 0, remote)
            return
        local = max(self.streams, default=0) + 1
        self.streams[local] = kind(self, local, remote, service)
        self.send(b"OKAY", local, remote)
        threading.Thread(target=self.streams[local].run, daemon=True).start()


class Stream:
    """One service; ``take`` reads what the client sends, ``write`` waits until it was received."""

    def __init__(self, transport: Transport, local: int, remote: int, service: str) -> None:
        self.transport, self.service = transport, service
        self._local, self._remote = local, remote
        self.inbox: queue.Queue[bytes | None] = queue.Queue()
        self.acknowledged = threading.Semaphore(0)
        self._pending = b""

    def run(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self.serve()
        self.transport.streams.pop(self._local, None)
        with contextlib.suppress(OSError):
            self.transport.send(b"CLSE", self._local, self._remote)

    def serve(self) -> None:
        raise NotImplementedError

    def hang_up(self) -> None:
        self.inbox.put(None)
        self.acknowledged.release()

    def take(self, count: int) -> bytes:
        while len(self._pending) < count:
            data = self.inbox.get()
            if data is None:
                raise EOFError
            self._pending += data
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken

    def write(self, data: bytes) -> None:
        self.transport.send(b"WRTE", self._local, self._remote, data)
        self.acknowledged.acquire()


class Shell(Stream):
    """A command with its three streams and its exit status."""

    process: subprocess.Popen | None = None

    def serve(self) -> None:
        folder = self.transport.device.folder
        self._packets = threading.Lock()
        self.process = process = subprocess.Popen(
            ["sh", "-c", self.service.partition(":")[2]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "EDGEVID_LOCK_FOLDER": str(folder),
                "CXX": "none",
            },
        )
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        outputs = [(STDOUT, process.stdout), (STDERR, process.stderr)]
        threads = [threading.Thread(target=self._pump, args=output) for output in outputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._packet(EXIT, bytes([process.wait() & 0xFF]))

    def hang_up(self) -> None:
        super().hang_up()
        if self.process is not None:  # as adbd does with what a client leaves behind
            self.process.kill()

    def _feed(self, process: subprocess.Popen) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError):
            while True:
                kind, length = struct.unpack("<BI", self.take(5))
                data = self.take(length)
                if kind == STDIN:
                    process.stdin.write(data)
                    process.stdin.flush()
                elif kind == CLOSE_STDIN:
                    process.stdin.close()

    def _pump(self, kind: int, file) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(file.fileno(), 1 << 15):
                self._packet(kind, chunk)

    def _packet(self, kind: int, data: bytes) -> None:
        with self._packets:
            self.write(struct.pack("<BI", kind, len(data)) + data)


class Sync(Stream):
    """``adb push``, below the device's folder."""

    def serve(self) -> None:
        while True:
            kind, length = struct.unpack("<4sI", self.take(8))
            if kind == b"QUIT":
                return
            argument = self.take(length).decode()
            if kind == b"STAT":
                self.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))
            elif kind == b"SEND":
                self._receive(Path(argument.rpartition(",")[0]))
            else:
                raise OSError(f"{kind!r} is not simulated")

    def _receive(self, path: Path) -> None:
        assert path.is_relative_to(self.transport.device.folder)
        with path.open("wb") as file:
            while True:
                kind, length = struct.unpack("<4sI", self.take(8))
                if kind == b"DONE":
                    break
                file.write(self.take(length))
        self.write(struct.pack("<4sI", b"OKAY", 0))


@contextlib.contextmanager
def adb_server() -> Iterator[dict[str, str]]:
    """Variables for a real adb client and a server of its own, which ends with the block."""
    home = Path(tempfile.mkdtemp(prefix="adb-"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    variables = {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(home), "TMPDIR": str(home)}
    try:
        yield variables
    finally:
        adb(variables, "kill-server")
        shutil.rmtree(home, ignore_errors=True)


def adb(variables: dict[str, str], *arguments: str) -> str:
    environment = {**os.environ, **variables}
    result = subprocess.run(["adb", *arguments], env=environment, capture_output=True, text=True, timeout=60)
    return result.stdout + result.stderr

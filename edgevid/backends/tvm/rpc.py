"""Run and time a library on a remote board, which a TVM tracker assigns.

``rpc://HOST:PORT/KEY`` is the tracker's address and the key under which boards of a kind are registered.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import socket
import struct
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.backends.stepper import DoubleBufferedStepper
from edgevid.backends.tvm.importer.importer import ENTRY
from edgevid.backends.tvm.runner import ONE_THREAD_PER_CORE
from edgevid.backends.tvm.without_torch import import_tvm
from edgevid.errors import BackendError

if TYPE_CHECKING:
    from edgevid.specs import StateSpec

SCHEME = "rpc://"
TRACKER_TIMEOUT_S = 5.0
"""The time limit for a tracker's response."""
BOARD_TIMEOUT_S = 30.0
"""The time limit for a board that others use to become free."""


@dataclass(frozen=True)
class Address:
    """A tracker, and the key of the requested boards."""

    host: str
    port: int
    key: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ``BackendError`` unless ``url`` is ``rpc://HOST:PORT/KEY``."""
        match = re.fullmatch(r"rpc://([^/:\s]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})/([^/\s]+)", url)
        if match is None or not 0 < int(match[2]) < 1 << 16:
            raise BackendError(
                f"'{url}' is not the address of a board: use rpc://HOST:PORT/KEY, with a TVM tracker's "
                "address and the key of the board, such as rpc://10.0.0.2:9190/pi5"
            )
        return cls(match[1].strip("[]"), int(match[2]), match[3])

    @property
    def tracker(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{SCHEME}{self.tracker}/{self.key}"


class Board:
    """A board from a tracker; it is released with the last reference to this object.

    ``call`` runs one of TVM's functions there, ``read`` fetches a file, ``triple`` names its architecture,
    vendor and system, or is empty if unknown.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        url, port, matchkey = _request_board(address)
        from tvm import rpc

        with board_errors(address, "does not accept the connection"):
            self.session = rpc.connect(url, port, matchkey)
        # TVM's objects are in reference cycles: without this, the board stays busy until garbage collection.
        weakref.finalize(self, _release, self.session)
        self.device = self.session.cpu(0)
        self.triple = str(self.call("target.llvm_get_system_triple", default=""))

    def call(self, name: str, *arguments: Any, default: Any = None) -> Any:
        """Call the function ``name`` there; ``default`` if there is no such function."""
        try:
            function = self.session.get_function(name)
        except AttributeError:
            return default
        with board_errors(self.address, f"cannot run {name}"):
            return function(*arguments)

    def read(self, path: str) -> str | None:
        """A file there as text; None if it cannot be read, like those in /proc, which have no size."""
        try:
            content = bytes(self.session.download(path))
        except RuntimeError:
            return None
        # Files in /sys report too large a size; the rest is zeros.
        return content.rstrip(b"\0").decode(errors="replace").strip()


def open_remote(path: Path, url: str, threads: int | None) -> RemoteRunner:
    """Open the TVM library ``path`` on a board at ``url``, on ``threads`` threads (None: TVM's default
    there).

    Raises ``BackendError`` if the address is invalid, no tracker responds, no board is free, or the board
    cannot run it.
    """
    from edgevid.backends.tvm.description import INSTALL, read_description

    address = Address.parse(url)
    if importlib.util.find_spec("tvm") is None:
        raise BackendError(f"TVM is not installed, which a board over RPC needs here too: {INSTALL}")
    description = read_description(path)
    board = Board(address)
    if not fits(description.architecture, board.triple):
        raise BackendError(
            f"'{path}' is for {description.architecture}, but the board at {address} is {board.triple}: "
            "export again with the board's --target"
        )
    return RemoteRunner(board, path, description.inputs, description.outputs, threads)


def fits(architecture: str, triple: str) -> bool:
    """Whether a library for ``architecture``, such as ``aarch64`` or ``aarch64-android``, can run on a board.

    ``triple`` is the board's architecture, vendor and system; an unknown one, empty, fits all.
    """
    processor, _, system = architecture.partition("-")
    return not triple or (triple.partition("-")[0] == processor and system in triple)


class RemoteRunner:
    """A library on ``board``, with its inputs and outputs by name."""

    op_coverage = ()

    def __init__(
        self, board: Board, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int | None
    ) -> None:
        import tvm
        from tvm import relax

        self.board, self.inputs, self.outputs = board, tuple(inputs), tuple(outputs)
        with board_errors(board.address, f"cannot open {path.name}"):
            board.session.upload(str(path))
            self._machine = relax.VirtualMachine(board.session.load_module(path.name), board.device)
        self._to_tensor = lambda array: tvm.runtime.tensor(np.ascontiguousarray(array), board.device)
        if threads is not None:
            board.call("runtime.config_threadpool", ONE_THREAD_PER_CORE, threads)
        self.threads = int(board.call("runtime.NumThreads", default=threads or 1))

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.bind(inputs)()
        with board_errors(self.board.address):
            return {name: tensor.numpy() for name, tensor in self.results().items()}

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A function that runs one inference there on ``inputs``, which are sent once."""
        self.feed(self.send(inputs[name]) for name in self.inputs)
        return self.infer

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(RemoteArguments(self, frame, states), states)

    def timer(self) -> Callable[[int], list[int]]:
        """A function that runs ``count`` inferences on the last inputs and returns the ns of each.

        The board's own clock measures them, without the network. One more inference runs before, unmeasured.
        """

        def time(count: int) -> list[int]:
            with board_errors(self.board.address):
                evaluator = self._machine.time_evaluator(
                    "invoke_stateful", self.board.device, number=1, repeat=count
                )
                return [round(seconds * 1e9) for seconds in evaluator(ENTRY).results]

        return time

    def send(self, array: np.ndarray):
        """Copy ``array`` to a tensor in the board's memory."""
        with board_errors(self.board.address):
            return self._to_tensor(array)

    def feed(self, tensors) -> None:
        """Set the board's tensors for ``infer``, in the order of the inputs."""
        with board_errors(self.board.address):
            self._machine.set_input(ENTRY, *tensors)

    def infer(self) -> None:
        with board_errors(self.board.address):
            self._machine.invoke_stateful(ENTRY)

    def results(self) -> dict[str, Any]:
        """The tensors of the last inference, in the board's memory."""
        with board_errors(self.board.address):
            outputs = self._machine.get_outputs(ENTRY)
        return dict(zip(self.outputs, outputs if isinstance(outputs, tuple) else (outputs,)))


class RemoteArguments:
    """A ``DoubleBuffer`` on the board: the states of a step are fed to the next one, and never downloaded."""

    def __init__(self, runner: RemoteRunner, frame: str, states: Sequence[StateSpec]) -> None:
        self._runner, self._states, self._frame = runner, states, frame
        self._arguments: dict[str, Any] = {}
        self._results: dict[str, Any] = {}

    def write_frame(self, frame: np.ndarray) -> None:
        self._arguments[self._frame] = self._runner.send(frame)

    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None:
        self._arguments[state.input] = self._runner.send(value)

    def infer(self, number: int) -> None:
        self._runner.feed(self._arguments[name] for name in self._runner.inputs)
        self._runner.infer()
        self._results = self._runner.results()
        self._arguments |= {state.input: self._results.pop(state.output) for state in self._states}

    def results(self) -> dict[str, np.ndarray]:
        with board_errors(self._runner.board.address):
            return {name: tensor.numpy() for name, tensor in self._results.items()}


@contextlib.contextmanager
def board_errors(address: Address, what: str = "stopped responding") -> Iterator[None]:
    """Turn TVM's exceptions into ``BackendError``."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = lines[-1] if lines else type(error).__name__
        raise BackendError(
            f"the board at {address} {what}: {message}. See its rpc_server's output; it needs the same TVM"
        ) from error


def _release(session) -> None:
    with contextlib.suppress(Exception):  # the connection may already be broken
        session.get_function("CloseRPCConnection")()


def _request_board(address: Address) -> tuple[str, int, str]:
    """Host, port and password of a free board, within ``BOARD_TIMEOUT_S``."""
    import_tvm()
    from tvm.rpc.base import TrackerCode

    with _tracker_requests(address) as request:
        keys = [server["key"].partition(":")[2] for server in request(TrackerCode.SUMMARY)["server_info"]]
        if address.key not in keys:
            available = f", only {', '.join(sorted(set(keys)))}" if keys else ""
            server = f"python -m tvm.exec.rpc_server --tracker {address.tracker} --key {address.key}"
            raise BackendError(
                f"the tracker at {address.tracker} has no board with the key '{address.key}'{available}: "
                f"start '{server}' on the board"
            )
        try:
            url, port, matchkey = request(TrackerCode.REQUEST, address.key, "", 1, limit_s=BOARD_TIMEOUT_S)
        except TimeoutError:
            raise BackendError(
                f"no board with the key '{address.key}' was free within {BOARD_TIMEOUT_S:g} s: "
                "try again later"
            ) from None
    return url, port, matchkey


@contextlib.contextmanager
def _tracker_requests(address: Address) -> Iterator[Callable[..., Any]]:
    """A function that sends a request to the tracker and returns the response, within ``limit_s`` seconds."""
    import_tvm()
    from tvm.rpc.base import RPC_TRACKER_MAGIC, TrackerCode, recvall, recvjson, sendjson

    def request(*message: Any, limit_s: float = TRACKER_TIMEOUT_S) -> Any:
        connection.settimeout(limit_s)
        sendjson(connection, list(message))
        status, response = recvjson(connection)
        if status != TrackerCode.SUCCESS:
            raise OSError(f"it responds with {response}")
        return response

    try:
        with socket.create_connection((address.host, address.port), timeout=TRACKER_TIMEOUT_S) as connection:
            magic = struct.pack("<i", RPC_TRACKER_MAGIC)
            connection.sendall(magic)
            if recvall(connection, len(magic)) != magic:
                raise OSError("the server there is not a tracker")
            yield request
    except OSError as error:
        raise BackendError(
            f"no TVM tracker responds at {address.tracker} ({error.strerror or error}): start one with "
            f"'python -m tvm.exec.rpc_tracker --port {address.port}', or correct the address"
        ) from error

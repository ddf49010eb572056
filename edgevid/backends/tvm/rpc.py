"""Boards at the other end of a network: a tracker of TVM lends one, a library goes there, is run and timed.

``rpc://HOST:PORT/KEY`` is the tracker's address and the key that the boards of a kind registered with.
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
from edgevid.errors import BackendError

if TYPE_CHECKING:
    from edgevid.specs import StateSpec

SCHEME = "rpc://"
ANSWER_S = 5.0
"""How long a tracker may take to answer."""
WAIT_S = 30.0
"""How long a board may be in use by others before that is an error."""


@dataclass(frozen=True)
class Address:
    """A tracker, and the key of the boards that are wanted."""

    host: str
    port: int
    key: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ``BackendError`` for what is not ``rpc://HOST:PORT/KEY``."""
        match = re.fullmatch(r"rpc://([^/:\s]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})/([^/\s]+)", url)
        if match is None or not 0 < int(match[2]) < 1 << 16:
            raise BackendError(
                f"'{url}' is not the address of a board: give rpc://HOST:PORT/KEY, where a TVM tracker "
                "listens and the key that the board registered with, such as rpc://10.0.0.2:9190/pi5"
            )
        return cls(match[1].strip("[]"), int(match[2]), match[3])

    @property
    def tracker(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{SCHEME}{self.tracker}/{self.key}"


class Board:
    """A board that a tracker lent; it goes back when the last reference to this object goes.

    ``call`` runs one of TVM's functions there, ``read`` fetches a file, ``triple`` names its architecture,
    vendor and system, or is empty where its TVM does not tell.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        url, port, matchkey = _request(address)
        from tvm import rpc

        with answering(address, "does not take the connection"):
            self.session = rpc.connect(url, port, matchkey)
        # TVM's own objects refer to each other, and the tracker would wait for the garbage collection.
        weakref.finalize(self, _give_back, self.session)
        self.device = self.session.cpu(0)
        self.triple = str(self.call("target.llvm_get_system_triple", default=""))

    def call(self, name: str, *arguments: Any, default: Any = None) -> Any:
        """What the function ``name`` returns there; ``default`` if there is no such function."""
        try:
            function = self.session.get_function(name)
        except AttributeError:
            return default
        with answering(self.address, f"cannot run {name}"):
            return function(*arguments)

    def read(self, path: str) -> str | None:
        """A file there as text, None if it cannot be read, as those of /proc, whose size is not told."""
        try:
            content = bytes(self.session.download(path))
        except RuntimeError:
            return None
        # Files of /sys tell a size that is too large: zeros fill it up.
        return content.rstrip(b"\0").decode(errors="replace").strip()


def open_remote(path: Path, url: str, threads: int | None) -> RemoteRunner:
    """The TVM library ``path`` on a board at ``url``, on ``threads`` threads (None: as TVM chooses there).

    Raises ``BackendError`` if the address is wrong, no tracker answers, no board is free, or if the board
    cannot run it.
    """
    from edgevid.backends.tvm.description import INSTALL, read_description

    address = Address.parse(url)
    if importlib.util.find_spec("tvm") is None:
        raise BackendError(f"a board over TVM's RPC needs TVM here as well: {INSTALL}")
    description = read_description(path)
    board = Board(address)
    if not fits(description.architecture, board.triple):
        raise BackendError(
            f"'{path}' is for {description.architecture}, and the board at {address} is {board.triple}: "
            "export again with the --target of that board"
        )
    return RemoteRunner(board, path, description.inputs, description.outputs, threads)


def fits(architecture: str, triple: str) -> bool:
    """Whether a library for ``architecture``, such as ``aarch64`` or ``aarch64-android``, can run there.

    ``triple`` is the board's architecture, vendor and system; one that is not known fits all.
    """
    processor, _, system = architecture.partition("-")
    return not triple or (triple.partition("-")[0] == processor and system in triple)


class RemoteRunner:
    """A library on a board, with its inputs and outputs by name. ``board`` is where it runs."""

    op_coverage = ()

    def __init__(
        self, board: Board, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int | None
    ) -> None:
        import tvm
        from tvm import relax

        self.board, self.inputs, self.outputs = board, tuple(inputs), tuple(outputs)
        with answering(board.address, f"cannot open {path.name}"):
            board.session.upload(str(path))
            self._machine = relax.VirtualMachine(board.session.load_module(path.name), board.device)
        self._to_tensor = lambda array: tvm.runtime.tensor(np.ascontiguousarray(array), board.device)
        if threads is not None:
            board.call("runtime.config_threadpool", ONE_THREAD_PER_CORE, threads)
        self.threads = int(board.call("runtime.NumThreads", default=threads or 1))

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.bind(inputs)()
        with answering(self.board.address):
            return {name: tensor.numpy() for name, tensor in self.results().items()}

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A function of no arguments that does one inference there on ``inputs``, which are sent once."""
        self.feed(self.send(inputs[name]) for name in self.inputs)
        return self.infer

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(RemoteArguments(self, frame, states), states)

    def timer(self) -> Callable[[int], list[int]]:
        """A function that makes some inferences in a row on what was fed last: the time of each, in ns.

        The board measures by its own clock, so the network between is in no time. It makes one inference
        more, before the first that is measured.
        """

        def time(count: int) -> list[int]:
            with answering(self.board.address):
                evaluator = self._machine.time_evaluator(
                    "invoke_stateful", self.board.device, number=1, repeat=count
                )
                return [round(seconds * 1e9) for seconds in evaluator(ENTRY).results]

        return time

    def send(self, array: np.ndarray):
        """``array`` as a tensor in the board's memory."""
        with answering(self.board.address):
            return self._to_tensor(array)

    def feed(self, tensors) -> None:
        """The board's tensors that ``infer`` takes, in the order of the inputs."""
        with answering(self.board.address):
            self._machine.set_input(ENTRY, *tensors)

    def infer(self) -> None:
        with answering(self.board.address):
            self._machine.invoke_stateful(ENTRY)

    def results(self) -> dict[str, Any]:
        """The tensors of the last inference, in the board's memory."""
        with answering(self.board.address):
            outputs = self._machine.get_outputs(ENTRY)
        return dict(zip(self.outputs, outputs if isinstance(outputs, tuple) else (outputs,)))


class RemoteArguments:
    """A ``DoubleBuffer`` on the board: the states of a step are fed to the next one, and never sent here."""

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
        with answering(self._runner.board.address):
            return {name: tensor.numpy() for name, tensor in self._results.items()}


@contextlib.contextmanager
def answering(address: Address, what: str = "stopped answering") -> Iterator[None]:
    """Turn what TVM raises of a board into one line."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[-1] if lines else type(error).__name__
        raise BackendError(
            f"the board at {address} {what}: {said}. See what its rpc_server says; it needs the same TVM"
        ) from error


def _give_back(session) -> None:
    with contextlib.suppress(Exception):  # the board may be gone already, in any way
        session.get_function("CloseRPCConnection")()


def _request(address: Address) -> tuple[str, int, str]:
    """Host, port and password of a board that is free, within ``WAIT_S``."""
    from tvm.rpc.base import TrackerCode

    with _talking_to_tracker(address) as ask:
        registered = [server["key"].partition(":")[2] for server in ask(TrackerCode.SUMMARY)["server_info"]]
        if address.key not in registered:
            others = f", only {', '.join(sorted(set(registered)))}" if registered else ""
            server = f"python -m tvm.exec.rpc_server --tracker {address.tracker} --key {address.key}"
            raise BackendError(
                f"the tracker at {address.tracker} has no board with the key '{address.key}'{others}: "
                f"start '{server}' on the board"
            )
        try:
            url, port, matchkey = ask(TrackerCode.REQUEST, address.key, "", 1, limit_s=WAIT_S)
        except TimeoutError:
            raise BackendError(
                f"no board with the key '{address.key}' was free within {WAIT_S:g} s: others use "
                f"{'it' if registered.count(address.key) == 1 else 'them'}, try again later"
            ) from None
    return url, port, matchkey


@contextlib.contextmanager
def _talking_to_tracker(address: Address) -> Iterator[Callable[..., Any]]:
    """A function that asks the tracker for something and gives its answer, within ``limit_s`` seconds."""
    from tvm.rpc.base import RPC_TRACKER_MAGIC, TrackerCode, recvall, recvjson, sendjson

    def ask(*question: Any, limit_s: float = ANSWER_S) -> Any:
        connection.settimeout(limit_s)
        sendjson(connection, list(question))
        status, answer = recvjson(connection)
        if status != TrackerCode.SUCCESS:
            raise OSError(f"it answers {answer}")
        return answer

    try:
        with socket.create_connection((address.host, address.port), timeout=ANSWER_S) as connection:
            magic = struct.pack("<i", RPC_TRACKER_MAGIC)
            connection.sendall(magic)
            if recvall(connection, len(magic)) != magic:
                raise OSError("what listens there is no tracker")
            yield ask
    except OSError as error:
        raise BackendError(
            f"no tracker of TVM answers at {address.tracker} ({error.strerror or error}): start it with "
            f"'python -m tvm.exec.rpc_tracker --port {address.port}', or correct the address"
        ) from error

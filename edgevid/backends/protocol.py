"""What a backend is: it compiles a graph into a bundle's folder, and opens what it wrote.

A backend never imports torch, the zoo or another backend.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from edgevid.specs import LOCAL, Artefact, Availability, PassReport, StateSpec, Target

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir

"""The device that is this machine."""


@dataclass(frozen=True)
class Compiled:
    """What a backend made in a bundle's folder.

    ``model_file`` is the artefact of the precision that was asked for; ``not_run`` says in sentences what
    could not be tried here; ``passes`` are the rewrites of the backend's own; for the manifest are ``plan``
    and ``float_layers``, the reason for each layer that stays in float although the precision is int8.
    """

    model_file: str
    artefacts: tuple[Artefact, ...]
    kernels: tuple[str, ...]
    passes: tuple[PassReport, ...] = ()
    not_run: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    float_layers: Mapping[str, str] = field(default_factory=dict)


class Calibration(Protocol):
    """What int8 is made from: the smallest and the largest value of each tensor by name.

    ``choose_float_layers(graph, quantize)`` gives what of ``graph`` must stay in float;
    ``quantize(copy, kept)`` makes a trial.
    """

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]: ...
    def choose_float_layers(self, graph: ir.Model, quantize: Callable[[ir.Model, Any], object]) -> Any: ...


@dataclass(frozen=True)
class Job:
    """What a backend is told: names for its scripts, the device, the precision, and the states of a stream.

    ``example`` holds float32 inputs by name, and ``expected`` the eager network's outputs for them, so that
    a device can check itself. Of precision int8 the ``calibration`` is known.
    """

    model: str
    target: Target
    precision: str
    states: tuple[StateSpec, ...]
    example: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]
    calibration: Calibration | None = None

    def describe_inputs(self) -> list[str]:
        """A phrase for each input, for the README of a bundle."""
        return [f"`{name}` {'x'.join(map(str, array.shape))} float32" for name, array in self.example.items()]

    def describe_states(self) -> str:
        """How a stream's states are fed, for the README of a bundle; empty for a network without them."""
        if not self.states:
            return ""
        return (
            f"The network is streamed: feed each of its {len(self.states)} outputs `next_state_*` back as "
            "`state_*` with the next frame, zeros at first."
        )


@dataclass(frozen=True)
class OpReceipt:
    """What became of one temporal op: the kernel that took it, or why none did.

    The bytes are those of a call: before, each element read and written once by the op itself; after, what is
    still moved. None where the shape is not known before the network runs.
    """

    name: str
    op_type: str
    kernel: str | None
    reason: str
    flops: int | None
    bytes_before: int | None
    bytes_after: int | None


@runtime_checkable
class Stepper(Protocol):
    """A streaming network with its states: ``push`` gives the outputs that are not states."""

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]: ...
    def step(self) -> None: ...
    def reset(self) -> None: ...


@runtime_checkable
class Runner(Protocol):
    """A model that is ready to run. ``bind`` gives a function that does one inference on given inputs.

    ``inputs`` and ``outputs`` are names; where a runtime knows the shapes, ``inputs`` maps the names to them.
    ``receipt`` says of each temporal op which kernel took it, or why none did.
    """

    threads: int
    inputs: Iterable[str]
    outputs: Iterable[str]
    receipt: tuple[OpReceipt, ...]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]: ...
    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]: ...
    def stepper(self, frame: str, states: Sequence[StateSpec]) -> Stepper: ...


class Board(Protocol):
    """A board at the other end of a network; ``triple`` names its architecture, vendor and system.

    ``call`` runs a function of the backend's runtime there, ``read`` gives a text file, or None.
    """

    address: Any
    triple: str

    def call(self, name: str, *arguments: Any, default: Any = None) -> Any: ...
    def read(self, path: str) -> str | None: ...


@runtime_checkable
class RemoteRunner(Runner, Protocol):
    """A model on a board: ``timer()(count)`` makes so many inferences there and gives the ns of each."""

    board: Board

    def timer(self) -> Callable[[int], list[int]]: ...


@dataclass(frozen=True)
class OpenOptions:
    """How to open a model: on ``threads`` (None: the cores that this process may use), with kernels of ours
    or without, by the first of ``providers`` (execution providers of ONNX Runtime) that is here.

    ``digests`` are the SHA-256 of files beside it that are known already. ``device`` is this machine, or the
    address of a board.
    """

    threads: int | None = None
    providers: Sequence[str] = ()
    with_kernels: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)
    device: str = LOCAL


class BackendModule(Protocol):
    """What the module of a backend has.

    One that opens models of its own on its device alone has ``opens_here()`` too; one that compiles kernels
    for this machine, ``compile_kernels()``; one that reaches boards, ``check_address(device)``, which raises
    ``BackendError`` for an address that is none.
    """

    def available(self) -> Availability: ...
    def compile(self, graph: ir.Model, job: Job, folder: Path) -> Compiled: ...
    def open_model(self, artefact: Artefact, folder: Path, options: OpenOptions) -> Runner: ...


@dataclass(frozen=True)
class Backend:
    """An entry of the table. Its ``module``, a ``BackendModule``, is imported when it is used.

    ``precisions`` are what it can write. ``dynamic_shapes`` says that it takes models of free dimensions,
    ``has_kernels`` that kernels of ours go into a model when it is opened. ``next_step`` is what a user does
    with a bundle at ``{path}``. ``board_address`` is the form of the addresses of boards, if it reaches any.
    ``targets`` take it beside those whose files name it.
    """

    name: str
    title: str
    module: str
    precisions: tuple[str, ...]
    targets: tuple[str, ...] = ()
    dynamic_shapes: bool = False
    has_kernels: bool = False
    board_address: str = ""
    next_step: str = "edgevid run {path} --video FILE, edgevid bench {path}"

    def available(self) -> Availability:
        """Whether it can run a model on this machine."""
        return self._module().available()

    def compile(self, graph: ir.Model, job: Job, folder: Path) -> Compiled:
        """Write what the device needs into ``folder``; ``graph`` may be changed."""
        return self._module().compile(graph, job, folder)

    def open_model(self, artefact: Artefact, folder: Path, options: OpenOptions = OpenOptions()) -> Runner:
        """Open a model file of ``folder``; ``BackendError`` if it cannot be."""
        return self._module().open_model(artefact, folder, options)

    def opens_here(self) -> bool:
        """Whether it can run models on this machine that another backend stands in for elsewhere."""
        return bool(getattr(self._module(), "opens_here", lambda: False)())

    def compile_kernels(self) -> None:
        """Compile the kernels of this machine unless they are cached, so that a model opens at once."""
        getattr(self._module(), "compile_kernels", lambda: None)()

    def reaches(self, device: str) -> bool:
        """Whether ``device`` looks like the address of a board of this backend."""
        scheme = self.board_address.partition(":")[0]
        return bool(scheme) and device.startswith(f"{scheme}:")

    def check_address(self, device: str) -> None:
        """``BackendError`` unless a device that it ``reaches`` is a whole address."""
        cast(Any, self._module()).check_address(device)

    def _module(self) -> BackendModule:
        return cast(BackendModule, importlib.import_module(self.module))

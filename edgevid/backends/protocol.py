"""The interface of a backend: it compiles a graph into a bundle's folder, and opens the files it wrote.

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


@dataclass(frozen=True)
class Compiled:
    """What a backend wrote into a bundle's folder.

    ``model_file`` is the artefact of the requested precision; ``kernels`` says in words what runs the
    temporal ops, such as "TemporalShift (standard operators) x10"; ``not_run`` lists in sentences what could
    not be tried here; ``passes`` are the backend's own rewrites. ``plan`` goes into the manifest, and so does
    ``float_layers``, the reason for each layer that stays in float although the precision is int8.
    """

    model_file: str
    artefacts: tuple[Artefact, ...]
    kernels: tuple[str, ...]
    passes: tuple[PassReport, ...] = ()
    not_run: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    float_layers: Mapping[str, str] = field(default_factory=dict)


class Calibration(Protocol):
    """The minimum and the maximum of each tensor by name, measured on calibration clips, for int8.

    ``choose_float_layers(graph, quantize)`` returns the layers of ``graph`` that must stay in float;
    ``quantize(copy, exclusions)`` makes a candidate.
    """

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]: ...
    def choose_float_layers(self, graph: ir.Model, quantize: Callable[[ir.Model, Any], object]) -> Any: ...


@dataclass(frozen=True)
class Job:
    """The input of a backend besides the graph: model name, target, precision, and the states of a stream.

    ``example`` holds float32 inputs by name, and ``expected`` the eager network's outputs for them, so that
    a device can check itself. For precision int8 there is a ``calibration``.
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
class OpCoverage:
    """The kernel that runs one temporal op, or the reason why none does.

    The bytes are those of one call: before, each element is read and written once by the op itself; after,
    what is still moved. None where the shape is unknown before the network runs.
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
    """A streaming network with its states: ``push`` returns the outputs that are not states."""

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]: ...
    def step(self) -> None: ...
    def reset(self) -> None: ...


@runtime_checkable
class Runner(Protocol):
    """A model that is ready to run. ``bind`` returns a function that runs one inference on ``inputs``.

    ``inputs`` and ``outputs`` are names; where a runtime has the shapes, ``inputs`` maps the names to them.
    ``op_coverage`` has the kernel of each temporal op, or the reason why it has none. An optional
    ``step_includes`` names the parts of one inference, such as "transfers"; without it that is "inference".
    """

    threads: int
    inputs: Iterable[str]
    outputs: Iterable[str]
    op_coverage: tuple[OpCoverage, ...]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]: ...
    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]: ...
    def stepper(self, frame: str, states: Sequence[StateSpec]) -> Stepper: ...


@dataclass(frozen=True)
class LayerTimes:
    """A layer as it runs here: what it is, what it costs, and the milliseconds of each run.

    ``name`` is its path in the user's network where that is known, ``op`` what runs it, ``provider`` the
    runtime's execution provider. ``ran_by`` is "edgevid kernel", "runtime" for the runtime's own operator, or
    "function body" for a temporal op without a kernel. ``nodes`` are those of the bundle's model file that it
    computes, as "name (op)"; none for what the runtime added, such as a change of layout.

    ``macs`` are those of the network, ``executed_macs`` those of the algorithm that ran (Winograd's are
    fewer), None where shapes are unknown; ``arithmetic`` is their precision. Bytes are those that it must
    read and write: each element of a tensor once, weights too, none where a tensor is only given a new shape.
    ``spans_ms`` are start and duration of the parts of each run, by the runtime's clock.
    """

    name: str
    op: str
    provider: str
    ran_by: str
    nodes: tuple[str, ...]
    macs: int | None
    executed_macs: int | None
    arithmetic: str
    read_bytes: int
    written_bytes: int
    samples_ms: tuple[float, ...]
    spans_ms: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True)
class Profile:
    """The layers of a model in the order in which they ran, and start and duration of whole runs in ms.

    ``not_run`` says of each node of the model file that no layer computes what became of it.
    """

    layers: tuple[LayerTimes, ...]
    runs_ms: tuple[tuple[float, float], ...]
    not_run: Mapping[str, str]


class Profiler(Protocol):
    """A model that is open a second time, in ``runner``, whose runtime times each layer.

    ``finish(skip)`` closes it and returns the times without those of the first ``skip`` runs.
    """

    runner: Runner

    def finish(self, skip: int) -> Profile: ...


@runtime_checkable
class ProfiledRunner(Runner, Protocol):
    """A model whose runtime can time its layers."""

    def profiler(self) -> Profiler: ...


class Board(Protocol):
    """A board that is reached over the network; ``triple`` names its architecture, vendor and system.

    ``call`` runs a function of the backend's runtime there, ``read`` returns a text file, or None.
    """

    address: Any
    triple: str

    def call(self, name: str, *arguments: Any, default: Any = None) -> Any: ...
    def read(self, path: str) -> str | None: ...


@runtime_checkable
class RemoteRunner(Runner, Protocol):
    """A model on a board: ``timer()(count)`` runs ``count`` inferences there and returns the ns of each."""

    board: Board

    def timer(self) -> Callable[[int], list[int]]: ...


@dataclass(frozen=True)
class OpenOptions:
    """How to open a model: on ``threads`` threads (None: one for each core that this process may use), with
    or without edgevid's kernels, on the first of ``providers`` (ONNX Runtime's execution providers) that is
    here.

    ``digests`` maps names of files in the model's folder to those SHA-256 digests that are already computed.
    ``device`` is ``LOCAL`` or the address of a board. ``shares_cores``: this process decodes video at the
    same time, so threads without work must not keep their cores busy.
    """

    threads: int | None = None
    providers: Sequence[str] = ()
    with_kernels: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)
    device: str = LOCAL
    shares_cores: bool = False


class BackendModule(Protocol):
    """The functions of a backend's module.

    Optional: ``opens_here()`` if its models open only on its device; ``compile_kernels()`` if it compiles
    kernels for this machine; ``check_address(device)``, which raises ``BackendError`` for an invalid address,
    if it reaches boards.
    """

    def available(self) -> Availability: ...
    def compile(self, graph: ir.Model, job: Job, folder: Path) -> Compiled: ...
    def open_model(self, artefact: Artefact, folder: Path, options: OpenOptions) -> Runner: ...


@dataclass(frozen=True)
class Backend:
    """An entry of the table. Its ``module``, a ``BackendModule``, is imported on first use.

    ``precisions`` lists what it can write; with ``dynamic_shapes`` it takes models with free dimensions; with
    ``has_kernels`` edgevid's kernels are inserted into a model when it is opened. ``next_step`` tells the
    user what to do with a bundle at ``{path}``. ``board_address`` is the format of board addresses, if it
    reaches any. ``targets`` lists targets that take it, in addition to those whose files name it.
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
        """Write the device's files into ``folder``; may change ``graph``."""
        return self._module().compile(graph, job, folder)

    def open_model(self, artefact: Artefact, folder: Path, options: OpenOptions = OpenOptions()) -> Runner:
        """Open a model file in ``folder``; ``BackendError`` if that fails."""
        return self._module().open_model(artefact, folder, options)

    def opens_here(self) -> bool:
        """Whether this machine is its device, so that it opens its models without another backend."""
        return bool(getattr(self._module(), "opens_here", lambda: False)())

    def compile_kernels(self) -> None:
        """Compile the kernels for this machine unless cached, so that a model opens without delay."""
        getattr(self._module(), "compile_kernels", lambda: None)()

    def reaches(self, device: str) -> bool:
        """Whether ``device`` looks like the address of a board of this backend."""
        scheme = self.board_address.partition(":")[0]
        return bool(scheme) and device.startswith(f"{scheme}:")

    def check_address(self, device: str) -> None:
        """``BackendError`` unless a device that it ``reaches`` is a complete address."""
        cast(Any, self._module()).check_address(device)

    def _module(self) -> BackendModule:
        return cast(BackendModule, importlib.import_module(self.module))

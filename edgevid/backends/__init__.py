"""The backends. One file each; here is their table, and what each of them offers.

A backend's module has ``available()`` and ``compile()``; one that can open a model here has ``open_model()``,
and one that can do so on its device alone ``opens_here()``.
It never imports torch, the zoo or another backend.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgevid.registry import Registry, instance_of
from edgevid.specs import Artefact, Availability, PassReport, StateSpec, Target

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir

    from edgevid.backends.onnxruntime.specialize.pipeline import OpReceipt


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


class Stepper(Protocol):
    """A streaming network with its states: ``push`` gives the outputs that are not states."""

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]: ...
    def step(self) -> None: ...
    def reset(self) -> None: ...


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


@dataclass(frozen=True)
class Backend:
    """An entry of the table; its module is imported when it is used. ``precisions`` are what it can write."""

    name: str
    title: str
    module: str
    precisions: tuple[str, ...]

    def available(self) -> Availability:
        """Whether it can run a model on this machine."""
        return importlib.import_module(self.module).available()

    def compile(self, graph: ir.Model, job: Job, folder: Path) -> Compiled:
        """Write what the device needs into ``folder``; ``graph`` may be changed."""
        return importlib.import_module(self.module).compile(graph, job, folder)

    def open_model(
        self,
        path: Path,
        threads: int | None,
        providers: Sequence[str] = (),
        with_kernels: bool = True,
        digests: Mapping[str, str] | None = None,
    ) -> Runner:
        """Open a model file for running here, with our own kernels where the backend has some.

        ``digests`` are the SHA-256 of files beside it that are known already.
        """
        module = importlib.import_module(self.module)
        return module.open_model(path, threads, providers, with_kernels, digests or {})

    def opens_here(self) -> bool:
        """Whether it can run models on this machine that another backend stands in for elsewhere."""
        return getattr(importlib.import_module(self.module), "opens_here", lambda: False)()


BACKENDS: Registry[Backend] = Registry("backend", "backends", instance_of(Backend))


def _register(name: str, title: str, precisions: tuple[str, ...]) -> None:
    BACKENDS.register(name, Backend(name, title, f"edgevid.backends.{name}.backend", precisions))


_register("onnxruntime", "ONNX Runtime on the CPU, or by its CUDA provider", ("fp32", "int8"))
_register("tensorrt", "TensorRT: ONNX and scripts that build engines on the device", ("fp16", "fp32", "int8"))
_register("tvm", "TVM: one library, compiled for this processor or an arm64 device", ("fp32",))


def opener(backend: str, artefact: Artefact) -> str:
    """The name of the backend that opens a file here: that of its bundle if it can, else who checked it."""
    if backend in BACKENDS and BACKENDS[backend].opens_here():
        return backend
    return artefact.opened_by

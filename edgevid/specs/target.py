"""What a target's TOML file says of a device (see ``targets/README.md`` for each key)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """What a target is, and what is on it: its system, the versions of NVIDIA's software, memory in GiB.

    ``formats`` are the files that ONNX Runtime gets, ``companions`` the backends whose libraries go along.
    """

    os: str = "linux"
    memory_gib: int | None = None
    jetpack: str = ""
    cuda: str = ""
    tensorrt: str = ""
    install: str = "pip install edgevid (Python 3.10 or later)"
    power_mode: str = ""
    formats: tuple[str, ...] = ("onnx",)
    companions: tuple[str, ...] = ()
    execution_providers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gpu:
    """The GPU of a target: one of ``compute_capability``, or any from ``minimum_compute_capability`` on.

    ``typical_compute_capability`` is the one of several for which kernels are counted. ``sm_count`` is the
    number of its multiprocessors, ``shared_kib`` the shared memory that one block of threads can have;
    ``ptx`` is the newest version of PTX that the driver takes.
    """

    compute_capability: str = ""
    minimum_compute_capability: str = ""
    typical_compute_capability: str = ""
    sm_count: int = 64
    shared_kib: int = 99
    ptx: str = "8.0"

    def __post_init__(self) -> None:
        if bool(self.compute_capability) == bool(self.minimum_compute_capability):
            raise ValueError("give either compute_capability or minimum_compute_capability")

    @property
    def sm(self) -> int:
        """87 for compute capability 8.7; the oldest of several."""
        return int((self.compute_capability or self.minimum_compute_capability).replace(".", ""))

    @property
    def is_one_of_several(self) -> bool:
        return bool(self.minimum_compute_capability)

    @property
    def typical(self) -> str:
        """The compute capability for which kernels are counted."""
        return self.typical_compute_capability or self.compute_capability or self.minimum_compute_capability

    def __str__(self) -> str:
        return self.compute_capability or f"{self.minimum_compute_capability} or later"


@dataclass(frozen=True)
class PowerSource:
    """Where a target's power is read: the name of a probe, and the ``rails`` that sum to the whole board."""

    sensor: str
    rails: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A device as its TOML file describes it."""

    name: str
    title: str
    architecture: str
    backends: tuple[str, ...]
    precisions: tuple[str, ...] = ("fp32",)
    order: int = 100
    same_as: str | None = None
    device: Device = Device()
    gpu: Gpu | None = None
    power: PowerSource | None = None

    def __post_init__(self) -> None:
        if not self.backends or not self.precisions:
            raise ValueError("a target has at least one backend and one precision")

    @property
    def backend(self) -> str:
        """The backend that is taken when the user names none."""
        return self.backends[0]

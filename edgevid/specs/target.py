"""A device as a target's TOML file describes it (``targets/README.md`` has each key)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """The system, the versions of NVIDIA's software, and the memory in GiB of a target.

    ``formats`` lists the files for ONNX Runtime, ``companions`` the backends that add libraries to a bundle.
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
    """The GPU of a target: of ``compute_capability``, or any from ``minimum_compute_capability`` on.

    ``typical_compute_capability`` is the one for which kernels are counted. ``sm_count`` is the number of
    multiprocessors, ``shared_kib`` the maximum shared memory of a thread block; ``ptx`` is the newest version
    of PTX that the driver takes.
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
        """87 for compute capability 8.7; the minimum if there are several."""
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
    """Where a target's power is measured: a probe's name, and the ``rails`` that sum to the whole board."""

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
        """The default backend."""
        return self.backends[0]

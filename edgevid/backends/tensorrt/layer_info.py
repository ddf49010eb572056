"""The kernels of a network's engine, from the layer info of TensorRT-RTX, which builds engines without a GPU.

TensorRT-RTX is not the TensorRT of a Jetson and has other architectures, so its results are labeled with its
name. Where it is not installed, the reason is reported instead of numbers.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PACKAGE, MODULE = "tensorrt-rtx", "tensorrt_rtx"
WORKER = "edgevid.backends.tensorrt.layer_info_worker"
LIMIT_S = 300

NO_KERNELS = {"signal", "wait"}
"""Kinds of layers that only synchronize streams."""

COPIES = {"Slic", "Conc", "Gath", "Tran", "Resh", "Move", "Cast", "Repl", "Padd"}
"""Steps in the name of a generated kernel that compute nothing: copies and format conversions."""

STEPS = re.compile(r"__myl_((?:[A-Z][a-z0-9]+)+)_myl")


class LayerInfoError(Exception):
    """There is no layer info; the message goes into the manifest."""


@dataclass(frozen=True)
class Kernel:
    """A kernel: ``kind`` is TensorRT-RTX's term, ``bytes`` the size of its inputs and outputs."""

    name: str
    kind: str
    bytes: int

    @property
    def copies(self) -> bool:
        """Whether it only moves or converts data, judged by its name."""
        steps = STEPS.search(self.name)
        return steps is not None and set(re.findall("[A-Z][a-z0-9]+", steps[1])) <= COPIES


@dataclass(frozen=True)
class LayerInfo:
    """The kernels of an engine in order, the ``builder``, and the compute capability that it built for."""

    builder: str
    compute_capability: str
    kernels: tuple[Kernel, ...]
    seconds: float

    @property
    def label(self) -> str:
        return f"{self.builder}'s plan for SM {self.compute_capability}"

    @property
    def copies(self) -> int:
        """Kernels that only move or convert data."""
        return sum(kernel.copies for kernel in self.kernels)

    @property
    def bytes(self) -> int:
        """The bytes of activations that the kernels read and write, each tensor counted whole."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def cost(self) -> tuple[int, int, int]:
        """The sort key of candidates: kernels, then copies among them, then bytes."""
        return len(self.kernels), self.copies, self.bytes

    def as_dict(self) -> dict[str, Any]:
        return {
            "plan": self.label,
            "kernels": len(self.kernels),
            "copies": self.copies,
            "activation_bytes": self.bytes,
            "build_seconds": round(self.seconds, 2),
            "layers": [{**asdict(kernel), "copies": kernel.copies} for kernel in self.kernels],
        }


def unavailable_reason() -> str | None:
    """Why engines cannot be built here; None if they can."""
    if importlib.util.find_spec(MODULE) is None:
        return f"{PACKAGE} is not installed: pip install 'edgevid[tensorrt]'"
    return None


def version() -> str:
    return importlib.metadata.version(PACKAGE)


def layer_info_of(path: Path, compute_capability: str) -> LayerInfo:
    """Build an ONNX file for the supported GPU nearest to ``compute_capability`` and return its layer info.

    Takes seconds. Raises ``LayerInfoError`` if the build fails.
    """
    reason = unavailable_reason()
    if reason:
        raise LayerInfoError(reason)
    command = [sys.executable, "-m", WORKER, str(path), compute_capability]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise LayerInfoError(f"{PACKAGE} {version()} did not finish within {LIMIT_S} s") from None
    if process.returncode:
        last_line = (process.stderr.strip().splitlines() or [""])[-1]
        raise LayerInfoError(f"{PACKAGE} {version()} exited with status {process.returncode}: {last_line}")
    result = json.loads(process.stdout.splitlines()[-1])
    if "error" in result:
        raise LayerInfoError(result["error"])
    kernels = tuple(Kernel(**layer) for layer in result["layers"] if layer["kind"] not in NO_KERNELS)
    if not kernels:
        raise LayerInfoError(f"{PACKAGE} {result['version']} logged no layer info")
    builder = f"TensorRT-RTX {result['version']}"
    return LayerInfo(builder, result["compute_capability"], kernels, result["seconds"])

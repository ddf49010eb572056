"""How many kernels a network becomes: the fused plan of TensorRT-RTX, which builds engines without a GPU.

It is another product than the TensorRT of a Jetson, and it knows other architectures; what it says is
labelled as its own. Where it is not installed there is no plan, and the reason is kept instead of a number.
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
"""Layers of a plan that only order its streams."""

COPIES = {"Slic", "Conc", "Gath", "Tran", "Resh", "Move", "Cast", "Repl", "Padd"}
"""Steps of a generated kernel, as its name gives them, that compute nothing: copies and changes of format."""

PIECES = re.compile(r"__myl_((?:[A-Z][a-z0-9]+)+)_myl")


class NoPlanError(Exception):
    """There is no plan; the message says why, for the manifest."""


@dataclass(frozen=True)
class Kernel:
    """One kernel of a plan: ``kind`` is TensorRT-RTX's word, ``bytes`` its inputs and outputs, each whole."""

    name: str
    kind: str
    bytes: int

    @property
    def copies(self) -> bool:
        """Whether it only moves or converts data, as far as its name tells."""
        pieces = PIECES.search(self.name)
        return pieces is not None and set(re.findall("[A-Z][a-z0-9]+", pieces[1])) <= COPIES


@dataclass(frozen=True)
class Plan:
    """Whose plan it is (``builder``), for which compute capability, and its kernels in their order."""

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
        """Sum over the kernels of the activations they read and write, each tensor counted whole."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def cost(self) -> tuple[int, int, int]:
        """What is compared: kernels, then copies among them, then bytes."""
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


def why_none() -> str | None:
    """Why no plan can be made here; None if one can."""
    if importlib.util.find_spec(MODULE) is None:
        return f"{PACKAGE} is not installed: pip install 'edgevid[tensorrt]'"
    return None


def version() -> str:
    return importlib.metadata.version(PACKAGE)


def plan_of(path: Path, compute_capability: str) -> Plan:
    """The fused plan of an ONNX file, for the GPU nearest to ``compute_capability`` that can be built for.

    ``NoPlanError`` says why there is none. It takes seconds.
    """
    missing = why_none()
    if missing:
        raise NoPlanError(missing)
    command = [sys.executable, "-m", WORKER, str(path), compute_capability]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NoPlanError(f"{PACKAGE} {version()} built no engine in {LIMIT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise NoPlanError(f"{PACKAGE} {version()} ended with status {done.returncode}: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise NoPlanError(answer["error"])
    kernels = tuple(Kernel(**layer) for layer in answer["layers"] if layer["kind"] not in NO_KERNELS)
    if not kernels:
        raise NoPlanError(f"{PACKAGE} {answer['version']} gave no plan in its log")
    builder = f"TensorRT-RTX {answer['version']}"
    return Plan(builder, answer["compute_capability"], kernels, answer["seconds"])

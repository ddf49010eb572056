"""The memory of the measuring process: what the network needs, apart from the process around it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from edgevid.host import memory
from edgevid.host.gpu_memory import gpu_memory_mib
from edgevid.host.memory import MIB
from edgevid.host.processor import board
from edgevid.specs import Manifest


class MemoryMeter:
    """Reads this process's memory at the points of a measurement, in MiB.

    Created with the runtime imported and no bundle open, the runner's baseline. Then ``opened``,
    ``warmed_up`` and, right after the last inference, ``finished`` are called at their time.
    """

    def __init__(self) -> None:
        self._baseline = memory.resident_mib()
        self._available_before = psutil.virtual_memory().available / MIB
        self._opened = self._warm = self._available = self._baseline
        self._peak: float | None = None
        self._proportional: float | None = None
        self._gpu: tuple[float | None, str] = (None, "")

    def opened(self) -> None:
        self._opened = memory.resident_mib()

    def warmed_up(self) -> None:
        self._warm = memory.resident_mib()

    def finished(self) -> None:
        self._peak, self._proportional = memory.peak_mib(), memory.proportional_mib()
        self._available = psutil.virtual_memory().available / MIB
        self._gpu = gpu_memory_mib()

    def fields(self, manifest: Manifest) -> dict[str, Any]:
        """``peak`` and ``proportional`` (PSS, after the run) are of the whole process,
        ``process_baseline_mib`` is the runner without a bundle, ``network`` the peak without that part.

        ``opened`` is what opening the bundle added, and ``activations`` what the first inferences added to
        that, as the system sees them: they include the runtime's own copies. ``states`` is one set of a
        stream's states. ``gpu`` and ``shared_with_gpu`` (a Jetson's whole memory that went since before the
        bundle was opened) are null where they do not apply; ``why_no_gpu`` is the reason.
        """
        peak, has_shared_memory = self._peak, "Jetson" in (board() or "")
        gpu, why_no_gpu = self._gpu
        return {
            "peak": peak,
            "weights": manifest.weights.size_bytes / MIB,
            "process_baseline_mib": self._baseline,
            "network": None if peak is None else max(0.0, peak - self._baseline),
            "proportional": self._proportional,
            "opened": self._opened - self._baseline,
            "activations": max(0.0, self._warm - self._opened),
            "states": _states_mib(manifest),
            "gpu": gpu,
            "why_no_gpu": why_no_gpu,
            "shared_with_gpu": self._available_before - self._available if has_shared_memory else None,
        }


def unread_memory(manifest: Manifest, why: str) -> dict[str, Any]:
    """The fields of :class:`MemoryMeter` for a device whose memory cannot be read."""
    unread = ("peak", "process_baseline_mib", "network", "proportional", "opened", "activations", "gpu")
    return {
        **dict.fromkeys(unread),
        "weights": manifest.weights.size_bytes / MIB,
        "states": _states_mib(manifest),
        "why_no_gpu": why,
        "shared_with_gpu": None,
    }


def import_runtime(bundle: str) -> None:
    """Import the runtime of ``bundle``, which is part of the baseline; any error shows up later."""
    from edgevid.backends import BACKENDS
    from edgevid.bundle.bundle import MANIFEST

    with contextlib.suppress(OSError, ValueError, AttributeError):
        name = json.loads(Path(bundle, MANIFEST).read_text("utf-8")).get("backend")
        if name in BACKENDS:
            BACKENDS[name].available()


def _states_mib(manifest: Manifest) -> float:
    return sum(np.prod(state.shape) * np.dtype(state.dtype).itemsize for state in manifest.states) / MIB

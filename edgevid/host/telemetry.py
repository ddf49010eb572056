"""Turn off the telemetry of libraries before they are imported.

ONNX Runtime's official packages have telemetry on Linux, macOS and Android from 1.29 on: they write a device
identifier into the user's cache folder and upload events some seconds later. OpenVINO, which the benchmarks
compare with, sends events when it is imported. PyAV, PyTorch, TensorRT-RTX, Triton and TVM open no socket.
"""

from __future__ import annotations

import logging
import os
import sys

VARIABLE = "ORT_DISABLE_TELEMETRY"
SINCE = (1, 29)
"""The first ONNX Runtime with telemetry outside Windows."""

log = logging.getLogger("edgevid")


def disable_telemetry() -> None:
    """Set ``ORT_DISABLE_TELEMETRY=1`` for this process and its children, unless the user set it.

    ONNX Runtime reads it once, when it is imported. If that has happened, its own switch turns telemetry off
    only in part, and a warning is logged.
    """
    if VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = "1"
    runtime = sys.modules.get("onnxruntime")
    version = getattr(runtime, "__version__", "0")
    if runtime and tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= SINCE:
        runtime.disable_telemetry_events()
        log.warning(
            "ONNX Runtime was imported before edgevid, so its telemetry is only partly off: import edgevid "
            "first, or set %s=1",
            VARIABLE,
        )


def disable_openvino_telemetry() -> None:
    """Hide OpenVINO's telemetry package, so that OpenVINO falls back to its own stub."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

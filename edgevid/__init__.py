"""edgevid: efficient video-understanding networks on edge devices.

The public names below are imported when first used, so that ``import edgevid`` needs neither torch nor
ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import Any

from edgevid.errors import BackendError
from edgevid.host.telemetry import disable_telemetry

__version__ = "0.1.0"

disable_telemetry()  # before anything imports ONNX Runtime, in every process that imports a part of edgevid

_PUBLIC = {
    "create_model": "edgevid.zoo.create",
    "load_weights": "edgevid.weights",
    "export": "edgevid.exporter.pipeline",
    "open": "edgevid.session",
    "Session": "edgevid.session",
    "Stream": "edgevid.session",
    "Bundle": "edgevid.bundle.bundle",
}

_EXPORT_PACKAGES = ("torch", "onnx", "onnx_ir", "onnxscript")

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'edgevid' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    except ModuleNotFoundError as error:
        if error.name in _EXPORT_PACKAGES:
            raise BackendError(
                f"edgevid.{name} needs the package '{error.name}': pip install 'edgevid[export]'"
            ) from error
        raise


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

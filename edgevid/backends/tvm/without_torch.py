"""Import TVM without PyTorch, which TVM's FFI imports wherever it is installed.

That takes most of the time to open a bundle and hundreds of MB, for conversions that edgevid does not use.
"""

from __future__ import annotations

import sys
import threading
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any


class _TorchHidden(MetaPathFinder):
    """Finds no PyTorch for the thread that made it; other threads may be importing it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "torch" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError("TVM needs no PyTorch here", name=name)


def import_tvm() -> ModuleType:
    """The package ``tvm``. If PyTorch is imported already, as in an export, TVM takes it."""
    hidden = _TorchHidden()
    sys.meta_path.insert(0, hidden)
    try:
        import tvm
    finally:
        sys.meta_path.remove(hidden)
    return tvm

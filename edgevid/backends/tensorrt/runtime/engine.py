"""Build a TensorRT engine of an ONNX file for this machine's GPU, and cache it in the bundle's folder.

The name of a cache entry has the model's hash, TensorRT's version, the GPU and the flags, since an engine is
valid for these only. An entry begins with a signature of the rest, so that one that is corrupt, or that
another user made (``local_cache``), is built again and never loaded: an engine contains code.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevid.backends.tensorrt.runtime.build import build, is_strongly_typed, logger_of
from edgevid.backends.tensorrt.runtime.cuda import Cuda
from edgevid.backends.tensorrt.scripts import ENVIRONMENT, read_environment
from edgevid.backends.tensorrt.versions import Requirement, Version
from edgevid.errors import BackendError
from edgevid.host.digest import sha256_of
from edgevid.host.files import atomic_write
from edgevid.host.local_cache import entry_name, seal, unseal
from edgevid.host.safe_paths import regular_file

MODULE = "tensorrt"
MIN_TENSORRT = Requirement(Version(8, 5), "tensors by name in its Python interface")
REMEDY = "update it (JetPack), or use the bundle's build.sh and run.sh"

log = logging.getLogger("edgevid")


def import_tensorrt() -> Any:
    """The module; ``BackendError`` if it is not installed, or too old for a session."""
    if importlib.util.find_spec(MODULE) is None:
        raise BackendError(
            "TensorRT's Python package is not installed (JetPack: sudo apt install python3-libnvinfer)"
        )
    try:
        trt = importlib.import_module(MODULE)
    except (ImportError, OSError) as error:
        raise BackendError(f"TensorRT's Python package cannot be loaded: {error}") from error
    _check(trt, MIN_TENSORRT)
    return trt


def check_bundle(trt: Any, folder: Path) -> None:
    """``BackendError`` if the bundle in ``folder`` needs a newer TensorRT, before anything is built."""
    try:
        environment = read_environment(folder)
        version = Version.of(environment["NEEDS"]) if "NEEDS" in environment else None
    except ValueError as error:
        raise BackendError(f"'{folder / ENVIRONMENT}' cannot be read ({error}): export again") from None
    if version is not None and Version.of(trt.__version__) < version:
        raise BackendError(
            f"this bundle needs TensorRT {version} or later, {environment.get('NEEDS_REASON', '')}, but "
            f"{trt.__version__} is installed: export it for this device (edgevid list targets), or update "
            "TensorRT"
        )


def engine_of(trt: Any, cuda: Cuda, path: Path, folder: Path, digests: Mapping[str, str]) -> tuple[Any, Any]:
    """The engine of ``path`` and its runtime, which must outlive it; cached in ``folder``.

    ``digests`` maps file names to SHA-256 digests already computed. Raises ``BackendError`` if the build
    fails.
    """
    source, flags = source_of(trt, path)
    model_digest = digests.get(source.name) or sha256_of(source)
    weights = sorted(digest for name, digest in digests.items() if name.endswith(".weights"))
    machine = (trt.__version__, cuda.compute_capability(), cuda.name(), platform.machine())
    identity = (model_digest, *weights, *machine, flags)
    entry = folder / f"{entry_name(source.stem, identity)}.engine"
    logger = logger_of(trt)
    runtime = trt.Runtime(logger)
    if (content := _read(entry)) is not None:
        engine = runtime.deserialize_cuda_engine(content)
        if engine is not None:
            return engine, runtime
        log.warning("the engine '%s' cannot be loaded: building it again", entry)
    log.warning("building an engine of %s with TensorRT %s: this takes minutes", source.name, trt.__version__)
    serialized, _ = build(trt, source, logger, flags=flags)
    content = bytes(serialized)
    _write(entry, content)
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise BackendError(
            f"TensorRT {trt.__version__} built an engine of '{source.name}' that it cannot load"
        )
    return engine, runtime


def source_of(trt: Any, path: Path) -> tuple[Path, tuple[str, ...]]:
    """The file to build from instead of ``path``, and the builder's precision flags.

    Without strong typing the builder chooses fp16 layers itself, from the float32 file.
    """
    if is_strongly_typed(trt) or Version.of(trt.__version__).major >= 11:
        return path, ()
    if path.name == "model_fp16.onnx" and path.with_name("model_fp32.onnx").is_file():
        return path.with_name("model_fp32.onnx"), ("FP16",)
    return path, {"model_fp16.onnx": ("FP16",), "model_int8.onnx": ("INT8", "FP16")}.get(path.name, ())


def _check(trt: Any, requirement: Requirement) -> None:
    if Version.of(trt.__version__) < requirement.version:
        raise BackendError(
            f"TensorRT {trt.__version__} is too old: a session needs {requirement.version} or later, "
            f"{requirement.reason}; {REMEDY}"
        )


def _read(entry: Path) -> bytes | None:
    try:
        content = regular_file(entry.parent, entry.name).read_bytes()
    except (OSError, ValueError):
        return None
    engine = unseal(entry.name, content)
    if engine is not None:
        return engine
    log.warning("the engine '%s' is corrupt, or not this user's: building it again", entry)
    return None


def _write(entry: Path, engine: bytes) -> None:
    """Write an entry atomically; if that fails, the next session builds the engine again."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(entry, seal(entry.name, engine), private=True)
    except OSError as error:
        log.warning("the engine is not cached ('%s': %s)", entry.parent, error.strerror or error)

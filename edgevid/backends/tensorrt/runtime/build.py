"""Build a serialized engine from an ONNX file with TensorRT's Python API.

``trt`` is the module: ``tensorrt`` on a device, or ``tensorrt_rtx``, which builds without a GPU. Both have
the names used here, TensorRT from 8.5 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevid.errors import BackendError

WORKSPACE_BYTES = 1 << 30
"""Scratch memory of an engine; ``build.sh`` gives trtexec the same."""


def logger_of(trt: Any) -> Any:
    """A logger that stores ``(severity, text)`` in ``messages`` and prints nothing."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages: list[tuple[Any, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.messages.append((severity, message))

    return Logger()


def is_strongly_typed(trt: Any) -> bool:
    """Whether a network takes its precision from the types in the graph (TensorRT 9 and later, and RTX)."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def build(
    trt: Any, path: Path, logger: Any, *, flags: Sequence[str] = (), compute_capability: Any = None
) -> tuple[Any, int]:
    """Build the ONNX file ``path``; returns the serialized engine and the number of parsed layers.

    Where TensorRT has strong typing, the types in the file decide; elsewhere the builder may use the
    precisions in ``flags`` ("FP16", "INT8"). ``compute_capability`` is a member of ``trt.ComputeCapability``
    to build for (TensorRT-RTX); None is this machine's GPU. Raises ``BackendError``.
    """
    strongly_typed = is_strongly_typed(trt)
    creation = trt.NetworkDefinitionCreationFlag
    # TensorRT 11 and later has neither flag: every network is explicit and strongly typed.
    flag = "STRONGLY_TYPED" if strongly_typed else "EXPLICIT_BATCH"
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(getattr(creation, flag)) if hasattr(creation, flag) else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise BackendError(
            f"TensorRT {trt.__version__} cannot read '{path.name}': {reasons or 'no reason was reported'}. "
            "Use a newer TensorRT, or the target cpu"
        )
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    # TF32 would round each factor to 10 bits; fp32 here means what PyTorch computes.
    config.clear_flag(trt.BuilderFlag.TF32)
    if not strongly_typed:
        for name in flags:
            if hasattr(trt.BuilderFlag, name):
                config.set_flag(getattr(trt.BuilderFlag, name))
    if compute_capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(compute_capability, 0)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        reason = _last_error(trt, logger)
        raise BackendError(
            f"TensorRT {trt.__version__} cannot build an engine of '{path.name}': {reason}. "
            "Free memory on the device and try again, or use --precision fp32"
        )
    return engine, network.num_layers


def _last_error(trt: Any, logger: Any) -> str:
    error_severities = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)
    errors = [
        message for severity, message in getattr(logger, "messages", ()) if severity in error_severities
    ]
    return errors[-1].splitlines()[0] if errors else "no reason was reported"

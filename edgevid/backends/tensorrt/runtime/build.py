"""From an ONNX file to a serialised engine through TensorRT's Python interface.

``trt`` is the module: ``tensorrt`` on a device, or ``tensorrt_rtx``, which builds without a GPU. Both have
the names that are used here, from TensorRT 8.5 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevid.errors import BackendError

WORKSPACE_BYTES = 1 << 30
"""What an engine may use for scratch; ``build.sh`` gives trtexec the same."""


def logger_of(trt: Any) -> Any:
    """A logger that keeps what it is told, in ``messages``, as ``(severity, text)``; it prints nothing."""

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
    """The serialised engine of the ONNX file ``path``, and the number of layers that were parsed.

    ``flags`` ("FP16", "INT8") are what a network that is not strongly typed may compute in; strongly typed
    ones, which all are where TensorRT can, go by the types in the file. ``compute_capability`` is a member of
    ``trt.ComputeCapability`` to build for (TensorRT-RTX); None is the GPU at hand. Raises ``BackendError``.
    """
    strong = is_strongly_typed(trt)
    creation = trt.NetworkDefinitionCreationFlag
    # What has neither flag is TensorRT 11 and later, where every network is explicit and strongly typed.
    flag = "STRONGLY_TYPED" if strong else "EXPLICIT_BATCH"
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(getattr(creation, flag)) if hasattr(creation, flag) else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise BackendError(
            f"TensorRT {trt.__version__} cannot read '{path.name}': {reasons or 'it gives no reason'}. "
            "Use a newer TensorRT, or the target cpu"
        )
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    # TF32 would round each factor to 10 bits; fp32 here means what PyTorch computes.
    config.clear_flag(trt.BuilderFlag.TF32)
    if not strong:
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
    wrong = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)
    said = [message for severity, message in getattr(logger, "messages", ()) if severity in wrong]
    return said[-1].splitlines()[0] if said else "it gives no reason"

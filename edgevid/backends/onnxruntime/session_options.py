"""Sessions of ONNX Runtime on the CPU, and the options that all share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FATAL = 4
"""The log level: errors are raised as well, and reported in one line."""
BLOCKS = "NchwcTransformer"
"""ONNX Runtime's optimizer that moves convolutions into the blocked layout of the processor."""


def session_options(threads: int | None = None) -> Any:
    """The options of a quiet session on ``threads`` threads (None: ONNX Runtime's choice)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def cpu_session(model: Path | bytes, options: Any, in_blocks: bool = True) -> Any:
    """Open ``model``, a file or its content, on the CPU; ``in_blocks`` allows the blocked layout."""
    import onnxruntime

    disabled = [] if in_blocks else [BLOCKS]
    return onnxruntime.InferenceSession(
        model, options, ["CPUExecutionProvider"], disabled_optimizers=disabled
    )

"""Sessions of ONNX Runtime on the CPU, and the options that all share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FATAL = 4
"""The log level: errors are raised as well, and reported in one line."""
BLOCKS = "NchwcTransformer"
"""ONNX Runtime's optimizer that moves convolutions into the blocked layout of the processor."""


SHORT_SPIN_US = 20
"""How long a thread looks for work before it sleeps, where another stage of the process wants its core.

The parts of a network follow each other more closely than this, its frames do not. By default threads look
for a millisecond or more, which is longer than the pause between two frames: they never sleep.
"""
SPIN_DURATION_SINCE = (1, 26)
"""The version of ONNX Runtime from which that time can be set; before it, threads look for it or do not."""


def session_options(threads: int | None = None, shares_cores: bool = False) -> Any:
    """The options of a quiet session on ``threads`` threads (None: ONNX Runtime's choice).

    ``shares_cores``: other stages, such as a decoder, need the cores between two runs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    if threads is not None:
        options.intra_op_num_threads = threads
    if shares_cores:
        version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
        if version >= SPIN_DURATION_SINCE:
            options.add_session_config_entry("session.intra_op.spin_duration_us", str(SHORT_SPIN_US))
        else:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def cpu_session(model: Path | bytes, options: Any, in_blocks: bool = True) -> Any:
    """Open ``model``, a file or its content, on the CPU; ``in_blocks`` allows the blocked layout."""
    import onnxruntime

    disabled = [] if in_blocks else [BLOCKS]
    return onnxruntime.InferenceSession(
        model, options, ["CPUExecutionProvider"], disabled_optimizers=disabled
    )

"""The number of channels in a block of ONNX Runtime's blocked layout (NCHWc) on this processor."""

from __future__ import annotations

import functools

import numpy as np

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.onnxfile.graph import float_value
from edgevid.onnxfile.wire import Message

CHANNELS, PIXELS = 64, 2


@functools.cache
def block_size() -> int | None:
    """Measured by having the runtime re-order a small tensor; None where it has no blocked layout."""
    try:
        session = cpu_session(_reordering_model(), session_options())
        channels = np.arange(CHANNELS, dtype=np.float32)
        (blocks,) = session.run(None, {"x": np.repeat(channels, PIXELS).reshape(1, CHANNELS, 1, PIXELS)})
    except Exception:  # ONNX Runtime's exceptions have no common base
        return None
    # A block holds channels 0, 1, 2 ... of the first pixel, then those of the second.
    block = int(np.argmax(blocks.ravel()[1:] == 0)) + 1
    return block if block > 1 else None


def _reordering_model() -> bytes:
    node = Message().add(1, "x").add(2, "y").add(4, "ReorderInput").add(7, "com.microsoft.nchwc")
    graph = Message().add(1, node).add(2, "reorder")
    graph.add(11, float_value("x", (1, CHANNELS, 1, PIXELS))).add(12, float_value("y", None))
    model = Message().add(1, 9).add(7, graph)
    for domain, version in (("", 18), ("com.microsoft.nchwc", 1)):
        model.add(8, Message().add(1, domain).add(2, version))
    return bytes(model)

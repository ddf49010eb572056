"""Smoke tests for ``edgevid doctor``.

Each runs in a process of its own, as a broken driver or codec may crash or hang. It prints one line on
success, and raises otherwise.
"""

from __future__ import annotations


def print_providers() -> None:
    """Print the execution providers, one per line."""
    import onnxruntime

    print(*onnxruntime.get_available_providers(), sep="\n")


def run_tiny_model(provider: str) -> None:
    """Run y = x + x on ``provider``; raises if it does not work."""
    import numpy as np
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(_tiny_model(), providers=[provider])
    if provider not in session.get_providers():  # ONNX Runtime falls back to the CPU without an error
        raise RuntimeError(f"{provider} did not load")
    x = np.array([1, 2], dtype=np.float32)
    if not np.array_equal(session.run(None, {"x": x})[0], x + x):
        raise RuntimeError(f"{provider} computed a wrong sum")
    print(f"onnxruntime {onnxruntime.__version__} ran a tiny model")


def round_trip_video() -> None:
    """Encode a few frames to a file in memory and decode them."""
    import io

    import av
    import numpy as np

    file, count = io.BytesIO(), 4
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for value in range(count):
            picture = np.full((32, 32, 3), 40 * value, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        frames = sum(1 for _ in container.decode(video=0))
    if frames != count:
        raise RuntimeError(f"{count} frames were encoded and {frames} decoded")
    print(f"av {av.__version__}: {count} frames encoded (mpeg4) and decoded")


def _tiny_model() -> bytes:
    """An ONNX model y = Add(x, x), float32 of shape [2], written by hand as onnx may not be installed.

    Protocol buffers: each field is a tag byte (number * 8 + wire type), then a varint (type 0), or a length
    and its bytes (type 2). The field numbers are those of onnx.proto3 (opset 13, IR version 7).
    """

    def number(field: int, value: int) -> bytes:
        return bytes([field << 3, value])

    def block(field: int, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return bytes([field << 3 | 2, len(body)]) + body

    def tensor(field: int, name: bytes) -> bytes:  # ValueInfoProto: name = 1, type = 2
        shape = block(2, block(1, number(1, 2)))  # TypeProto.Tensor.shape: one dimension of 2
        return block(field, block(1, name), block(2, block(1, number(1, 1), shape)))

    node = block(1, block(1, b"x"), block(1, b"x"), block(2, b"y"), block(4, b"Add"))
    graph = block(7, node, block(2, b"tiny"), tensor(11, b"x"), tensor(12, b"y"))
    return number(1, 7) + graph + block(8, number(2, 13))

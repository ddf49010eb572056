"""The backend of ONNX's reference evaluator; its README describes the design."""

from edgevid.backends.protocol import Backend

BACKEND = Backend(
    name="reference",
    title="ONNX's reference evaluator: each operator's definition in NumPy, and slow",
    precisions=("fp32",),
    targets=("cpu",),
    module="edgevid.backends.reference.backend",
)

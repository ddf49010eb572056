"""ONNX's reference evaluator: its README says how."""

from edgevid.backends.protocol import Backend

BACKEND = Backend(
    name="reference",
    title="ONNX's reference evaluator: what every operator means, in NumPy, and slow",
    precisions=("fp32",),
    targets=("cpu",),
    module="edgevid.backends.reference.backend",
)

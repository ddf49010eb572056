"""The ONNX Runtime backend; its README describes the design."""

from edgevid.backends.protocol import Backend

BACKEND = Backend(
    name="onnxruntime",
    title="ONNX Runtime on the CPU, or with its CUDA provider",
    precisions=("fp32", "int8"),
    dynamic_shapes=True,
    has_kernels=True,
    module="edgevid.backends.onnxruntime.backend",
)

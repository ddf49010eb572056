"""The TensorRT backend; its README describes the design."""

from edgevid.backends.protocol import Backend

BACKEND = Backend(
    name="tensorrt",
    title="TensorRT: ONNX and scripts that build engines on the device",
    precisions=("fp16", "fp32", "int8"),
    next_step="copy {path} to the device and read its README.md (./build.sh, then ./run.sh)",
    module="edgevid.backends.tensorrt.backend",
)

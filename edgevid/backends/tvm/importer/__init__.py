"""Import an ``onnx_ir`` graph to a Relax module."""

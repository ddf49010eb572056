"""From a graph of ``onnx_ir`` to a module of Relax."""

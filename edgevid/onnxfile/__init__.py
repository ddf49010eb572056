"""ONNX files without the ``onnx`` package, byte for byte."""

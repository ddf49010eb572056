"""Read and write ONNX files without the ``onnx`` package; unchanged parts stay byte for byte."""

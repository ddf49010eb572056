"""Build and run engines on the device, without the ``onnx`` package."""

"""On the device: engines are built and run. No ``onnx`` package."""

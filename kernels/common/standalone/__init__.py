"""Kernels compiled separately, without ONNX Runtime, for their tests and benchmarks."""

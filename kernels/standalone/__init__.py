"""Kernels compiled by themselves, without ONNX Runtime, for their tests and benchmarks."""

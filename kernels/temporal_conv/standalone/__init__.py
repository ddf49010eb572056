"""Kernels compiled by themselves, without a runtime around them: for their tests and benchmarks."""

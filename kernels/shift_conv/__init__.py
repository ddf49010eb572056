"""Temporal shift fused with the following 1x1 convolution: NumPy reference and C++."""

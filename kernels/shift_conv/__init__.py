"""Temporal shift fused with the following 1x1 convolution: its numpy reference and its C++."""

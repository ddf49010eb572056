"""Temporal shift, 1x1 convolution and depthwise 3x3 convolution fused in one pass."""

"""Temporal shift, the 1x1 convolution after it and the depthwise 3x3 one after that, in one pass."""

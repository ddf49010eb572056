"""A stack of frames fused with the following 1x1 convolution: a temporal convolution without copies."""

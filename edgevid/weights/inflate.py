"""Inflation: 2-D filters of an image classifier become 3-D filters.

Source: Carreira, Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017,
section 2.4: a filter is repeated for each of k frames and divided by k, so that a still clip has the output
of its image. This holds where all k frames are inside the clip; beyond its ends are zeros.
"""

from __future__ import annotations

from torch import Tensor


def inflate(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    """``(O, C, kh, kw)`` as ``(O, C, k, kh, kw)`` if ``expected`` has that shape; else unchanged."""
    if tensor.ndim == 4 and expected.ndim == 5 and expected.shape[:2] + expected.shape[3:] == tensor.shape:
        return (tensor / expected.shape[2]).unsqueeze(2).expand_as(expected).clone()
    return tensor

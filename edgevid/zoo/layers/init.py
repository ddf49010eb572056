"""Random weights that keep activations in the range of a trained network, in evaluation mode too.

A network without a checkpoint is still exported, in fp16 too, and timed, so its values must neither vanish
nor overflow: batch norms do not rescale them before they have seen data.
"""

from __future__ import annotations

from torch import nn

RESIDUAL_SCALE = 0.5
"""Weight of a residual branch's last batch norm: a sum of 33 branches of weight 1 would overflow fp16."""


def keep_variance(network: nn.Module) -> None:
    """He et al., "Delving Deep into Rectifiers", ICCV 2015, by fan-in, which suits depthwise layers too."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

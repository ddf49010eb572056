"""Random weights that keep activations in the range of a trained network, even in evaluation mode.

Networks without a checkpoint are exported, also in fp16, and timed, so activations must neither vanish nor
overflow: batch norms do not rescale them before training.
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

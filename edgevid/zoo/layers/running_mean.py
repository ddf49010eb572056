"""A streaming network whose output is the mean over all frames so far."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.running_mean import torch_op

running_mean = torch_op()


class RunningMean(nn.Module):
    """``network`` with smoothed outputs: after each frame, the mean of its logits over the frames so far.

    ``network`` must be causal, such as ``create_model("stm_r50_online")``: its forward is the mean of
    ``frame_logits``, so after the last frame of a clip, the stream has the output for the clip.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def frame_logits(self, clip: torch.Tensor) -> torch.Tensor:
        """``(N, T, classes)``: after each frame, the mean so far."""
        logits = self.network.frame_logits(clip)
        return running_mean(logits.flatten(0, 1), clip.shape[1]).unflatten(0, logits.shape[:2])

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.frame_logits(clip)[:, -1]

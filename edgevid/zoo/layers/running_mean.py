"""A stream that answers with the mean of what it has seen."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.running_mean import torch_op

running_mean = torch_op()


class RunningMean(nn.Module):
    """``network`` with steadier answers: after each frame, the mean of its answers to the frames so far.

    ``network`` is one that can be streamed, such as ``create_model("stm_r50_online")``: its forward averages
    what ``frame_logits`` gives. So after the last frame of a clip the stream answers as it does to the clip.
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

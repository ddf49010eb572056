"""The non-local block: attention between all positions in all frames of a clip.

    y_i = sum over j of f(x_i, x_j) g(x_j),    z_i = BN(W y_i) + x_i

with i and j over all positions of all frames, and f one of the four pairwise functions of the paper: Gaussian
and embedded Gaussian (softmax over j), dot product and concatenation (divided by the number of j).

Source: Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018, section 3; as in TSM's and
MMAction2's code, a 2x2 max-pool follows g and phi, and the weight of the batch norm starts at zero, so that
the block starts as the identity.

The block is the same in 2-D and 3-D networks: its convolutions are 1x1(x1), its pool is 1x2x2.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.specs.registry import check_choice

PAIRWISE = ("embedded_gaussian", "gaussian", "dot_product", "concatenation")


class NonLocal(nn.Module):
    """``(N*T, C, H, W)``, frames of a clip adjacent, to the same shape.

    ``pairwise`` is one of ``PAIRWISE``; ``subsample`` pools keys and values; ``out_bias`` gives the last
    convolution a bias, as in TSM's code but not in MMAction2's.
    """

    def __init__(
        self,
        channels: int,
        pairwise: str = "embedded_gaussian",
        subsample: bool = True,
        out_bias: bool = False,
    ) -> None:
        super().__init__()
        check_choice("pairwise function", pairwise, PAIRWISE)
        self.pairwise, inner = pairwise, channels // 2
        self.g = nn.Conv2d(channels, inner, 1)
        if pairwise != "gaussian":
            self.theta = nn.Conv2d(channels, inner, 1)
            self.phi = nn.Conv2d(channels, inner, 1)
        if pairwise == "concatenation":
            self.project = nn.Conv2d(2 * inner, 1, 1, bias=False)
        self.pool = nn.MaxPool2d(2) if subsample else nn.Identity()
        self.out = nn.Conv2d(inner, channels, 1, bias=out_bias)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        query = x if self.pairwise == "gaussian" else self.theta(x)
        key = self.pool(x) if self.pairwise == "gaussian" else self.pool(self.phi(x))
        value = self.pool(self.g(x))
        attend = (
            self._attend_with_softmax if self.pairwise.endswith("gaussian") else self._attend_without_softmax
        )
        y = attend(query.flatten(2), key.flatten(2), value.flatten(2), frames)
        return x + self.bn(self.out(y.unflatten(2, x.shape[2:])))

    def _attend_with_softmax(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, frames: int
    ) -> torch.Tensor:
        """Softmax over all positions of the clip, for the queries of each frame."""
        key, value = _gather_clip(key, frames), _gather_clip(value, frames)
        query = query.unflatten(0, (-1, frames)).transpose(2, 3)
        weights = torch.softmax(query @ key.unsqueeze(1), -1)
        return (weights @ value.transpose(1, 2).unsqueeze(1)).transpose(2, 3).flatten(0, 1)

    def _attend_without_softmax(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, frames: int
    ) -> torch.Tensor:
        """Without a softmax between the products, the sum over positions can be computed first."""
        if self.pairwise == "dot_product":
            # (theta^T phi) g^T = theta^T (phi g^T): (C/2)^2 values instead of positions^2
            context = _sum_over_clip(value @ key.transpose(1, 2), frames) / (frames * key.shape[2])
            return (context.unsqueeze(1) @ query.unflatten(0, (-1, frames))).flatten(0, 1)
        # w [theta_i, phi_j] = a_i + b_j, so each pair only needs ReLU(a_i + b_j)
        of_query, of_key = self.project.weight[:, :, 0, 0].chunk(2, 1)
        a = (of_query @ query).unflatten(0, (-1, frames)).transpose(2, 3)
        b = _gather_clip(of_key @ key, frames).unsqueeze(1)
        value = _gather_clip(value, frames)
        weights = torch.relu(a + b) / b.shape[-1]
        return (weights @ value.transpose(1, 2).unsqueeze(1)).transpose(2, 3).flatten(0, 1)


def _gather_clip(x: torch.Tensor, frames: int) -> torch.Tensor:
    """``(N*T, C, P)`` to ``(N, C, T*P)``."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2)


def _sum_over_clip(x: torch.Tensor, frames: int) -> torch.Tensor:
    return x.unflatten(0, (-1, frames)).sum(1)

"""Small networks of the kinds that people bring: recurrent heads, attention, gates, volumes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

CLASSES = 5


class Features(nn.Module):
    """A few features of each frame: ``(N, T, 3, H, W)`` to ``(N, T, 16)``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 4, 1)

    def forward(self, clip):
        images = functional.relu(self.conv(clip.flatten(0, 1)))
        return functional.adaptive_avg_pool2d(images, 1).flatten(1).unflatten(0, clip.shape[:2])


class Recurrent(nn.Module):
    """Features of frames, two layers in both directions, the last step's classifier."""

    def __init__(self, kind: type[nn.Module], batch_first: bool = True) -> None:
        super().__init__()
        self.features = Features()
        self.rnn = kind(16, 12, num_layers=2, bidirectional=True, batch_first=batch_first)
        self.classifier = nn.Linear(24, CLASSES)

    def forward(self, clip):
        features = self.features(clip)
        if self.rnn.batch_first:
            return self.classifier(self.rnn(features)[0][:, -1])
        return self.classifier(self.rnn(features.transpose(0, 1))[0][-1])


class Attention(nn.Module):
    """Tubelets and a class token, one encoder layer with GELU, a norm, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv3d(3, 32, (2, 8, 8), (2, 8, 8))
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.block = nn.TransformerEncoderLayer(
            32, 4, 64, activation="gelu", batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(32)
        self.classifier = nn.Linear(32, CLASSES)

    def forward(self, clip):
        tokens = self.patches(clip.transpose(1, 2)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        return self.classifier(self.norm(self.block(tokens))[:, 0])


class CausalVolumes(nn.Module):
    """As MoViNet: a depthwise convolution over past frames, squeeze and excitation, hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 16, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.depthwise = nn.Conv3d(16, 16, 3, padding=(0, 1, 1), groups=16)
        self.squeeze, self.excite = nn.Conv3d(16, 8, 1), nn.Conv3d(8, 16, 1)
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, clip):
        x = functional.hardswish(self.stem(clip.transpose(1, 2)))
        x = self.depthwise(functional.pad(x, (0, 0, 0, 0, 2, 0)))
        gate = self.excite(functional.hardswish(self.squeeze(functional.adaptive_avg_pool3d(x, 1))))
        return self.classifier((x * functional.hardsigmoid(gate)).mean((2, 3, 4)))


class SwishVolumes(nn.Module):
    """As X3D: a convolution over time alone, a bottleneck with squeeze and excitation, swish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 12, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.over_time = nn.Conv3d(12, 12, (5, 1, 1), padding=(2, 0, 0), groups=12, bias=False)
        self.norm = nn.BatchNorm3d(12)
        self.depthwise = nn.Conv3d(12, 12, 3, (1, 2, 2), 1, groups=12, bias=False)
        self.squeeze, self.excite = nn.Conv3d(12, 4, 1), nn.Conv3d(4, 12, 1)
        self.classifier = nn.Linear(12, CLASSES)

    def forward(self, clip):
        x = self.depthwise(functional.relu(self.norm(self.over_time(self.stem(clip.transpose(1, 2))))))
        pooled = x.mean((2, 3, 4), keepdim=True)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))))
        return self.classifier(functional.silu(x * gate).mean((2, 3, 4)))


class Assorted(nn.Module):
    """Other norms, activations and resizings, running sums, and a convolution along the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 2, 1)
        self.groups, self.instances = nn.GroupNorm(4, 16), nn.InstanceNorm2d(16, affine=True)
        self.slopes, self.enlarge = nn.PReLU(16), nn.ConvTranspose2d(16, 8, 2, 2)
        self.over_time = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 3, padding=1))
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, clip):
        x = self.instances(self.slopes(self.groups(self.conv(clip.flatten(0, 1)))))
        x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 2, 1)
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.enlarge(x).mean((2, 3)).unflatten(0, clip.shape[:2]).transpose(1, 2)
        x = functional.layer_norm(self.over_time(x), (clip.shape[1],))
        x = x.cumsum(-1) + functional.elu(x) + functional.mish(x)
        x = functional.normalize(torch.where(x > 0, x, 0.1 * x), dim=1)
        return self.classifier(x.amax(-1))


NETWORKS = {
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU, batch_first=False),
    "rnn": lambda: Recurrent(nn.RNN),
    "attention": Attention,
    "causal_volumes": CausalVolumes,
    "swish_volumes": SwishVolumes,
    "assorted": Assorted,
}


def foreign_network(name: str) -> nn.Module:
    """One of ``NETWORKS``, in evaluation mode, its weights always the same."""
    torch.manual_seed(0)
    return NETWORKS[name]().eval()

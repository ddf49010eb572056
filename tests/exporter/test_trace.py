"""What a traced graph computes is what PyTorch does, for each kind of layer that video networks are made of.

The kinds are those of torchvision's, pytorchvideo's, MoViNet's and transformers' video networks, in small
networks of our own: pooling attention and relative positions (MViT), shifted windows (Swin), tubelets and
class tokens (VideoMAE, ViViT), attention over time and space in turn (TimeSformer), separable convolutions
and branches (S3D), causal padding and squeeze-and-excitation (MoViNet, X3D).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgevid.errors import ExportError
from edgevid.exporter.costs import count_macs
from edgevid.exporter.trace import trace
from edgevid.passes import LOWERING, STANDARD, run_passes

pytestmark = pytest.mark.slow

CLIP = (1, 5, 4, 7, 9)
"""A clip of 5 frames, 4 channels and 7x9 pixels: no number divides another."""


class Volumes(nn.Module):
    """``compute`` of the clip as volumes ``(N, C, T, H, W)``, and ``layers``."""

    def __init__(self, compute, *layers):
        super().__init__()
        self.compute, self.layers = compute, nn.ModuleList(layers)

    def forward(self, clip):
        return self.compute(clip.transpose(1, 2), *self.layers).flatten(1)


def distance(network, clip_shape=CLIP, eager=None):
    """max|a-b| / max|b| of the traced network, as any runtime reads it, and of eager PyTorch."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.1, 0.5)
    clip = torch.randn(clip_shape)
    with torch.no_grad():
        expected = (eager or network.eval())(clip).numpy()
    graph = trace(network.eval(), torch.zeros(clip_shape))
    run_passes(graph, STANDARD)
    count_macs(graph)
    run_passes(graph, LOWERING)
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    result = session.run(None, {"clip": clip.numpy()})[0]
    assert result.shape == expected.shape
    return np.abs(result - expected).max() / np.abs(expected).max()


def frames(volume):
    return volume.transpose(1, 2).flatten(0, 1)


def together(*functions):
    """One network of several small ones, so that one trace tries them all."""
    return Volumes(lambda x: torch.cat([function(x).flatten(1) for function in functions], 1))


def test_adaptive_average_pools_to_any_size():
    network = together(
        lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 11),
        lambda x: functional.adaptive_avg_pool2d(frames(x), (3, 4)).unsqueeze(0),
        lambda x: functional.adaptive_avg_pool2d(frames(x), (11, 13)).unsqueeze(0),
        lambda x: functional.adaptive_avg_pool2d(frames(x), (None, 2)).unsqueeze(0),
        lambda x: functional.adaptive_avg_pool3d(x, (2, 3, 4)),
        lambda x: functional.adaptive_avg_pool3d(x, (5, 1, 1)),
        lambda x: functional.adaptive_avg_pool3d(x, (5, 7, 3)),
        lambda x: functional.adaptive_avg_pool3d(x, 1),
        lambda x: functional.adaptive_avg_pool3d(x[0], (2, 7, 1)).unsqueeze(0),
        lambda x: functional.interpolate(x, size=(3, 4, 5), mode="area"),
    )
    assert distance(network) < 1e-5


def test_adaptive_maximum_pools_to_any_size_and_where_the_maxima_are():
    network = together(
        lambda x: functional.adaptive_max_pool1d(x.flatten(2), 11),
        lambda x: functional.adaptive_max_pool2d(frames(x), (3, 4)).unsqueeze(0),
        lambda x: functional.adaptive_max_pool3d(x, (2, 3, 4)),
        lambda x: functional.adaptive_max_pool3d(x, 1),
        lambda x: functional.adaptive_max_pool3d(x, (2, 3, 4), return_indices=True)[1].float() / 315,
        lambda x: functional.adaptive_max_pool2d(frames(x), 3, return_indices=True)[1][None].float() / 63,
    )
    assert distance(network) < 1e-5


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_average_pools_of_every_option(ceil_mode):
    def pool2d(x, *sizes, **options):
        return functional.avg_pool2d(frames(x), *sizes, ceil_mode=ceil_mode, **options).unsqueeze(0)

    def pool3d(x, *sizes, **options):
        return functional.avg_pool3d(x, *sizes, ceil_mode=ceil_mode, **options)

    network = together(
        lambda x: pool2d(x, 3, 2, 1, divisor_override=5),
        lambda x: pool2d(x, (2, 3), (3, 4), (1, 1), divisor_override=7),
        lambda x: pool3d(x, (2, 3, 3), 2, 1, divisor_override=7),
        lambda x: pool3d(x, 3, 2, 1, count_include_pad=False),
        lambda x: pool3d(x, 3, 2, 1),
        lambda x: functional.avg_pool1d(x.flatten(2), 3, 2, 1, ceil_mode, count_include_pad=False),
    )
    assert distance(network) < 1e-5


def test_the_comparison_tells_another_pool():
    def pooled(clip):
        return functional.adaptive_avg_pool3d(clip.transpose(1, 2), (2, 3, 4)).flatten(1) * 1.001

    network = Volumes(lambda x: functional.adaptive_avg_pool3d(x, (2, 3, 4)))
    assert distance(network, eager=pooled) > 1e-4


class PoolingAttention(nn.Module):
    """MViT's: keys and values are pooled by a convolution, positions are relative, queries are added."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.pool = nn.Conv3d(width // heads, width // heads, 3, (1, 2, 2), 1, groups=width // heads)
        self.relative = nn.Parameter(torch.zeros(9, width // heads))

    def forward(self, x, size):
        query, key, value = self.qkv(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        volumes = [item.flatten(0, 1).transpose(1, 2).unflatten(2, size) for item in (key, value)]
        key, value = (
            self.pool(item).flatten(2).transpose(1, 2).unflatten(0, (-1, self.heads)) for item in volumes
        )
        distance = torch.arange(size[0])[:, None] - torch.arange(size[0])[None, :] + size[0] - 1
        by_frame = query.unflatten(2, (size[0], -1))
        bias = torch.einsum("nhtpc,tkc->nhtpk", by_frame, self.relative[distance]).flatten(2, 3)
        bias = bias.repeat_interleave(key.shape[2] // size[0], 3)
        weights = (query @ key.transpose(2, 3) * 0.3 + bias).softmax(-1)
        return x + self.out((weights @ value + query).transpose(1, 2).flatten(2))


class MViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv3d(4, 8, (3, 3, 3), (1, 2, 2), 1)
        self.attention, self.head = PoolingAttention(), nn.Linear(8, 5)

    def forward(self, clip):
        x = self.patch(clip.transpose(1, 2))
        size = x.shape[2:]
        return self.head(self.attention(x.flatten(2).transpose(1, 2), tuple(size)).mean(1))


class ShiftedWindows(nn.Module):
    """Swin's: the volume is padded, rolled, cut into windows with a mask and biases by relative place."""

    def __init__(self, width=4, window=(2, 3, 3), shift=(1, 1, 1)):
        super().__init__()
        self.window, self.shift, self.norm = window, shift, nn.LayerNorm(width)
        self.qkv, self.head = nn.Linear(width, 3 * width), nn.Linear(width, 5)
        places = torch.stack(torch.meshgrid(*map(torch.arange, window), indexing="ij")).flatten(1)
        relative = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + torch.tensor(window) - 1
        self.table = nn.Parameter(torch.zeros(3 * 5 * 5, 1))
        self.register_buffer("index", (relative * torch.tensor([25, 5, 1])).sum(-1))

    def windows(self, x):
        n, t, h, w, c = x.shape
        a, b, d = self.window
        x = x.view(n, t // a, a, h // b, b, w // d, d, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return x.reshape(-1, a * b * d, c)

    def forward(self, clip):
        x = self.norm(clip.permute(0, 1, 3, 4, 2))
        pads = [(-size) % side for size, side in zip(x.shape[1:4], self.window)]
        x = functional.pad(x, (0, 0, 0, pads[2], 0, pads[1], 0, pads[0]))
        x = torch.roll(x, [-step for step in self.shift], (1, 2, 3))
        numbers, count = torch.zeros(x.shape[1:4]), 0
        for rows in (slice(-2), slice(-2, -1), slice(-1, None)):
            for columns in (slice(-3), slice(-3, -1), slice(-1, None)):
                numbers[rows, columns], count = count, count + 1
        number = self.windows(numbers[None, ..., None])[..., 0]
        mask = (number[:, None] - number[:, :, None]).masked_fill(number[:, None] != number[:, :, None], -9.0)
        query, key, value = self.qkv(self.windows(x)).chunk(3, -1)
        weights = query @ key.transpose(1, 2) + self.table[self.index.flatten()].view(1, 18, 18) + mask
        return self.head((weights.softmax(-1) @ value).mean((0, 1))).unsqueeze(0)


class Tubelets(nn.Module):
    """VideoMAE's and ViViT's: tokens of tubelets, a class token, positions, transformer layers."""

    def __init__(self, norm_first):
        super().__init__()
        self.tubelet = nn.Conv3d(4, 8, (2, 3, 3), (2, 3, 3))
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(1, 13, 8))
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 5)

    def forward(self, clip):
        x = self.tubelet(clip.transpose(1, 2)).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = self.layer(x + self.positions[:, : x.shape[1]])
        return self.head((x + self.attention(x, x, x)[0])[:, 0])


class TimeThenSpace(nn.Module):
    """TimeSformer's: attention over the frames at each place, then over the places of each frame."""

    def __init__(self):
        super().__init__()
        self.patch, self.head = nn.Conv2d(4, 8, 3, 3), nn.Linear(8, 5)
        self.time, self.space = nn.Linear(8, 24), nn.Linear(8, 24)
        self.positions = nn.Parameter(torch.zeros(1, 8, 3, 3))

    def attend(self, x, project, mask=None):
        query, key, value = project(x).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return x + y.transpose(1, 2).flatten(2)

    def forward(self, clip):
        n, t = clip.shape[:2]
        x = self.patch(clip.flatten(0, 1))
        places = functional.interpolate(self.positions, size=x.shape[2:], mode="bicubic")
        x = (x + places).flatten(2).transpose(1, 2).unflatten(0, (n, t))
        past = torch.ones(t, t, dtype=torch.bool).tril()
        x = self.attend(x.transpose(1, 2).flatten(0, 1), self.time, past).unflatten(0, (n, -1))
        return self.head(self.attend(x.transpose(1, 2).flatten(0, 1), self.space).mean((0, 1))[None])


class Branches(nn.Module):
    """S3D's: convolutions over space, then over time; branches of them and of a max-pool side by side."""

    def __init__(self):
        super().__init__()
        self.spatial, self.temporal = (
            nn.Conv3d(4, 6, (1, 3, 3), padding=(0, 1, 1)),
            nn.Conv3d(6, 6, (3, 1, 1)),
        )
        self.pool, self.norm = nn.MaxPool3d(3, (1, 2, 2), 1, ceil_mode=True), nn.BatchNorm3d(10)
        self.classes = nn.Conv3d(10, 5, 1)

    def forward(self, clip):
        x = clip.transpose(1, 2)
        convolved = self.temporal(functional.pad(self.spatial(x), (0, 0, 0, 0, 1, 1)))
        convolved = functional.avg_pool3d(convolved, 3, (1, 2, 2), 1, ceil_mode=True, count_include_pad=False)
        x = self.norm(torch.cat([convolved, self.pool(x)], 1)).relu()
        return self.classes(functional.avg_pool3d(x, (2, 4, 5), 1)).mean((2, 3, 4))


class Gated(nn.Module):
    """MoViNet's and X3D's: causal padding, a pool of each frame, hard gates, swish, a running mean."""

    def __init__(self):
        super().__init__()
        self.conv, self.depthwise = nn.Conv3d(4, 6, (1, 3, 3), (1, 2, 2)), nn.Conv3d(6, 6, 3, groups=6)
        self.squeeze, self.expand = nn.Conv3d(12, 3, 1), nn.Conv3d(3, 6, 1)
        self.act, self.head = nn.Hardswish(), nn.Linear(6, 5)

    def forward(self, clip):
        x = self.act(self.conv(clip.transpose(1, 2)))
        x = functional.silu(self.depthwise(functional.pad(x, (1, 1, 1, 1, 2, 0))))
        means = functional.adaptive_avg_pool3d(x, (x.shape[2], 1, 1))
        so_far = means.cumsum(2) / torch.arange(1, x.shape[2] + 1)[:, None, None]
        gate = functional.hardsigmoid(self.expand(self.squeeze(torch.cat([so_far, means], 1)).relu()))
        return self.head((x * gate).mean((2, 3, 4)))


def pathways(x):
    """SlowFast's, TSM's and others': chosen frames, shifts by indices, shuffles, paddings, interpolation."""
    slow = x.index_select(2, torch.linspace(0, 4, 3).long())
    shifted = torch.zeros_like(x)
    shifted[:, :1, :-1], shifted[:, 1:2, 1:], shifted[:, 2:] = x[:, :1, 1:], x[:, 1:2, :-1], x[:, 2:]
    grid = torch.stack(
        torch.meshgrid(torch.linspace(-1, 1, 6), torch.linspace(-0.8, 1, 5), indexing="ij"), -1
    )
    shuffled = functional.channel_shuffle(frames(x), 2)
    parts = [
        slow,
        shifted,
        functional.interpolate(x, size=(3, 11, 5), mode="trilinear"),
        functional.interpolate(x, scale_factor=(1, 2, 1.5), mode="nearest"),
        functional.pad(x, (2, 1, 3, 0, 1, 1), mode="reflect"),
        functional.pad(x, (2, 1, 3, 0, 1, 1), mode="replicate"),
        functional.pad(x, (2, 1, 3, 0, 1, 1), mode="circular"),
        functional.pad(x, (-1, 1, 0, -2), value=0.5),
        x.unfold(2, 3, 1),
        functional.grid_sample(frames(x), grid.expand(5, -1, -1, -1), align_corners=False)[None],
        functional.pixel_shuffle(shuffled, 2)[None],
        functional.group_norm(x, 2),
        functional.gelu(x, approximate="tanh"),
    ]
    return torch.cat([part.flatten(1) for part in parts], 1)


@pytest.mark.parametrize(
    "network",
    [MViT(), ShiftedWindows(), Tubelets(True), Tubelets(False), TimeThenSpace(), Branches(), Gated()],
    ids=lambda network: type(network).__name__,
)
def test_a_small_network_of_each_kind(network):
    assert distance(network) < 1e-5


def test_the_movements_between_layers():
    assert distance(Volumes(pathways)) < 1e-5


def test_a_shape_that_onnx_cannot_infer_does_not_hide_the_others():
    """An outer product of integers, as rotary positions have: onnx takes both for shapes."""

    def rotary(x, layer):
        angles = torch.arange(x[0, 0].numel()).unsqueeze(-1) * torch.arange(1, 5)
        return layer(x.flatten(2).transpose(1, 2) * angles.sin())

    assert distance(Volumes(rotary, nn.Linear(4, 3))) < 1e-5


class Decomposed(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x)


def test_an_operator_without_a_translation_is_named_with_its_layer():
    network = nn.Sequential(nn.Sequential(nn.Flatten(2), Decomposed()))
    with pytest.raises(ExportError, match=r"operator aten._linalg_svd in the layer '0.1' \(Decomposed\)"):
        trace(network, torch.zeros(CLIP))


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_layer_that_cannot_be_traced_is_named():
    with pytest.raises(ExportError, match=r"at its layer '1' \(Branching, test_trace.py:\d+\)"):
        trace(nn.Sequential(nn.Flatten(1), Branching()), torch.zeros(CLIP))

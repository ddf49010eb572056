"""Whole TSM networks on an NVIDIA GPU in half precision: edgevid's kernels against PyTorch.

``fused`` runs its 1x1 convolutions of stride 1 with edgevid's kernel, the shifts fused; ``no shift`` is the
same with each fold 0. ``torch TSN`` and ``torch TSM`` are the network in PyTorch, the shift as TSM's code
writes it. All four have folded batch norms, are channels-last, compiled by ``torch.compile`` and replayed as
CUDA graphs.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgevid.benchmarks.experiments.gpu_graphs import FRAMES, interleaved, shift_by_slices
from edgevid.benchmarks.experiments.study import describe, require_equal
from edgevid.kernels.shift_conv.triton_call import shift_conv
from edgevid.zoo.backbones.mobilenet_v2 import InvertedResidual
from edgevid.zoo.backbones.resnet import Bottleneck
from edgevid.zoo.create import create_model
from edgevid.zoo.layers.shift import DIRECTIONS, NoShift, TemporalShift

TOLERANCE = 1e-2
SIZE = 224


@torch.library.custom_op("edgevid_benchmarks::pointwise", mutates_args=())
def pointwise(
    x: torch.Tensor,
    weights: torch.Tensor,
    bias: torch.Tensor,
    residual: torch.Tensor | None,
    frames: int,
    fold: int,
    first: int,
    second: int,
    low: float | None,
    high: float | None,
) -> torch.Tensor:
    return shift_conv(
        x, weights, bias, residual, frames=frames, fold=fold, first=first, second=second, low=low, high=high
    )


@pointwise.register_fake
def _(x, weights, bias, residual, frames, fold, first, second, low, high):
    shape = (x.shape[0], weights.shape[0], *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


class Pointwise(nn.Module):
    """A 1x1 convolution with the optional shift before it, and the residual sum and clamp after it."""

    def __init__(
        self, conv: nn.Conv2d, shift: nn.Module, low: float | None = None, high: float | None = None
    ):
        super().__init__()
        self.register_buffer("weights", conv.weight.detach().flatten(1).contiguous())
        self.register_buffer("bias", conv.bias.detach())
        self.low, self.high = low, high
        self.fold, self.directions = 0, (1, -1)
        if isinstance(shift, TemporalShift):
            self.fold, self.directions = conv.in_channels // shift.shift_div, DIRECTIONS[shift.direction]

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        shift = (FRAMES, self.fold, *self.directions)
        return pointwise(x, self.weights, self.bias, residual, *shift, self.low, self.high)


class FusedBottleneck(nn.Module):
    def __init__(self, block: Bottleneck):
        super().__init__()
        self.reduce, self.conv = Pointwise(block.conv1, block.shift, low=0.0), block.conv2
        self.expand = Pointwise(block.conv3, NoShift(), low=0.0)
        self.downsample, self.non_local = block.downsample, None
        if self.downsample is not None and self.downsample[0].stride == (1, 1):
            self.downsample = Pointwise(self.downsample[0], NoShift())

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = torch.relu(self.conv(self.reduce(x)))
        return self.expand(y, x if self.downsample is None else self.downsample(x))


class FusedInvertedResidual(nn.Module):
    def __init__(self, block: InvertedResidual):
        super().__init__()
        convs = [layer for layer in block.conv if isinstance(layer, nn.Conv2d)]
        *expand, self.depthwise, project = convs
        self.expand = Pointwise(expand[0], block.shift, low=0.0, high=6.0) if expand else nn.Identity()
        self.project, self.has_shortcut = Pointwise(project, NoShift()), block.has_shortcut

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = nn.functional.relu6(self.depthwise(self.expand(x)))
        return self.project(y, x if self.has_shortcut else None)


class SliceShift(nn.Module):
    """The shift as TSM's code writes it, which ``torch.compile`` can fuse."""

    def __init__(self, shift_div: int):
        super().__init__()
        self.shift_div = shift_div

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return shift_by_slices(x, x.shape[1] // self.shift_div)


def network_row(name: str, clips: int, rounds: int) -> dict[str, Any]:
    """Samples in ms of one inference of each of the four, also printed; their outputs are checked first."""
    torch.backends.cudnn.benchmark = True
    torch._dynamo.reset()  # it compiles a function only so many times, and then runs it eagerly
    torch.manual_seed(0)
    reference = create_model(name, frames=FRAMES).cuda().eval()
    clip = torch.randn(clips, FRAMES, 3, SIZE, SIZE, device="cuda")
    candidates = {
        "fused": _half(_fused(_folded(name, reference))),
        "no shift": _half(_fused(_replace(_folded(name, reference), _is_shift, lambda shift: NoShift()))),
        "torch TSN": _half(_replace(_folded(name, reference), _is_shift, lambda shift: NoShift())),
        "torch TSM": _half(
            _replace(_folded(name, reference), _is_shift, lambda shift: SliceShift(shift.shift_div))
        ),
    }
    with torch.inference_mode():
        expected = reference(clip)
        without = _replace(_folded(name, reference), _is_shift, lambda shift: NoShift())(clip)
        runs = {}
        for label, network in candidates.items():
            run = torch.compile(network, dynamic=False)
            logits = run(clip.half()).float()
            target = without if label in ("no shift", "torch TSN") else expected
            result, reference = [logits.cpu().numpy()], [target.cpu().numpy()]
            require_equal(f"{name}: {label}", result, "float32", reference, TOLERANCE)
            runs[label] = functools.partial(_run, run, clip.half())
        samples = interleaved(runs, 1, rounds)
    print(f"{clips} clips, {name}: {describe(samples)}", flush=True)
    return {"name": name, "network": name, "clips": clips, "samples_ms": samples}


def _run(network: Callable, clip: torch.Tensor, index: int) -> torch.Tensor:
    return network(clip)


def _half(network: nn.Module) -> nn.Module:
    return network.half().to(memory_format=torch.channels_last).eval()


def _is_shift(layer: nn.Module) -> bool:
    return isinstance(layer, TemporalShift)


def _replace(network: nn.Module, matches: Callable, make: Callable) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if matches(child):
                setattr(parent, name, make(child))
    return network


def _fused(network: nn.Module) -> nn.Module:
    for block, fused in ((Bottleneck, FusedBottleneck), (InvertedResidual, FusedInvertedResidual)):
        _replace(network, lambda layer, block=block: isinstance(layer, block), fused)
    return network


def _folded(name: str, reference: nn.Module) -> nn.Module:
    """A copy with each batch norm folded into the convolution before it."""
    network = create_model(name, frames=FRAMES).cuda().eval()
    network.load_state_dict(reference.state_dict())
    for parent in network.modules():
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return network

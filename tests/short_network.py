"""A network of the zoo without the repetitions in it, for tests of what its layers do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import nn

import edgevid
from edgevid.exporter import network as exported
from edgevid.zoo import MODELS
from edgevid.zoo.c3d import network as c3d

LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Pointwise(nn.Conv2d):
    """What a block that is left out does to the shape of frames: other channels, and a stride of 2."""

    non_local = None

    def __init__(self, given: torch.Size, result: torch.Size) -> None:
        stride = 1 if given[2:] == result[2:] else 2
        super().__init__(given[1], result[1], 1, stride, bias=False)
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def forward(self, x: torch.Tensor, frames: int | None = None) -> torch.Tensor:
        return super().forward(x)

    @staticmethod
    def fits(given: torch.Size, result: torch.Size) -> bool:
        """Whether it gives a block's shape: as many frames, of the same size or half of it."""
        sizes = [tuple(given[2:]), tuple((side + 1) // 2 for side in given[2:])]
        return len(given) == len(result) == 4 and given[0] == result[0] and tuple(result[2:]) in sizes


def short_network(name: str, frames: int, size: int, **sizes: int) -> nn.Module:
    """``create_model(name, ...)`` with one of each kind of block, random weights of seed 0.

    A block is one more of its kind if one before it differs only in its channels. It is dropped if its output
    has its input's shape, and is a pointwise convolution else, unless it changes the number of frames.
    C3D repeats nothing and takes no smaller clip, so it gets an eighth of its channels.
    """
    torch.manual_seed(0)
    with narrow_c3d(), _random_weights_later() as drawn:
        network = edgevid.create_model(name, frames=frames, **sizes).eval()
    lists = list(_outer_lists(network))
    shapes = _shapes(network, MODELS[name].input_shape(frames, size), lists)
    kinds: set[str] = set()
    for blocks in lists:
        for key, block in list(blocks.named_children()):
            # Channels have two digits or more; strides, kernel sizes and groups of few channels have one.
            kind = re.sub(r"\b\d{2,}\b", "C", repr(block))
            if kind in kinds and block in shapes and _is_block(block):
                given, result = shapes[block]
                if given == result:
                    delattr(blocks, key)
                elif Pointwise.fits(given, result):
                    setattr(blocks, key, Pointwise(given, result))
            kinds.add(kind)
        _renumber(blocks)
    for parameter in network.parameters():
        if parameter in drawn:
            drawn[parameter]()
    return network


@contextmanager
def short_exports() -> Iterator[None]:
    """Exports of this process are of ``short_network``, of the zoo's names."""

    def create_model(name: str, num_classes: int | None, frames: int, **sizes: int) -> nn.Module:
        return short_network(name, frames, MODELS[name].smallest[1], num_classes=num_classes, **sizes)

    with mock.patch.object(exported, "create_model", create_model):
        yield


@contextmanager
def narrow_c3d() -> Iterator[None]:
    """Builds C3D with an eighth of its channels, a sixty-fourth of its weights and MACs."""
    groups = tuple(tuple((name, channels // 8) for name, channels in group) for group in c3d.GROUPS)
    hidden = c3d.HIDDEN // 8
    with (
        mock.patch.multiple(c3d, GROUPS=groups, HIDDEN=hidden),
        mock.patch.object(c3d.C3D, "feature_channels", hidden),
    ):
        yield


@contextmanager
def _random_weights_later() -> Iterator[dict[nn.Parameter, Callable[[], object]]]:
    """Gives what draws the weights of each layer, as most layers are dropped and some weights drawn twice."""
    drawn: dict[nn.Parameter, Callable[[], object]] = {}

    def later(draw: Callable) -> Callable:
        def remember(weight: nn.Parameter, *arguments: object, **options: object) -> None:
            drawn[weight] = lambda: draw(weight, *arguments, **options)

        return remember

    def at_once(draw: Callable) -> Callable:
        def forget(weight: nn.Parameter, *arguments: object, **options: object) -> None:
            drawn.pop(weight, None)
            draw(weight, *arguments, **options)

        return forget

    replaced = {name: later(getattr(nn.init, name)) for name in ("kaiming_uniform_", "kaiming_normal_")}
    replaced |= {name: at_once(getattr(nn.init, name)) for name in ("normal_", "zeros_", "constant_")}
    with mock.patch.multiple(nn.init, **replaced):
        yield drawn


def _outer_lists(module: nn.Module) -> Iterator[nn.Module]:
    """The lists of blocks, but none that is inside a block; a list of stages is none of blocks."""
    for child in module.children():
        if _has_blocks(child) and not any(map(_has_blocks, child.children())):
            yield child
        else:
            yield from _outer_lists(child)


def _has_blocks(module: nn.Module) -> bool:
    """Whether it is a list with more than single layers in it."""
    return isinstance(module, LISTS) and any(map(_is_block, module.children()))


def _is_block(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _renumber(blocks: nn.Module) -> None:
    """Name the blocks of a list by their place again, without those that were dropped."""
    if not isinstance(blocks, nn.ModuleDict):
        blocks._modules = {str(place): block for place, block in enumerate(blocks.children())}


def _shapes(
    network: nn.Module, shape: tuple[int, ...], lists: list[nn.Module]
) -> dict[nn.Module, tuple[torch.Size, torch.Size]]:
    """The shapes of the input and the output of each block that has one tensor as each."""
    shapes: dict[nn.Module, tuple[torch.Size, torch.Size]] = {}

    def look(block: nn.Module, inputs: tuple, output: object) -> None:
        if [isinstance(value, torch.Tensor) for value in (output, *inputs)].count(True) == 2:
            shapes[block] = inputs[0].shape, output.shape

    hooks = [block.register_forward_hook(look) for blocks in lists for block in blocks.children()]
    with torch.no_grad():
        network(torch.zeros(shape))
    for hook in hooks:
        hook.remove()
    return shapes

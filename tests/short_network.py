"""A network of the zoo without the repetitions in it, for tests of what its layers do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import nn

import edgevid
from edgevid.exporter import network as exported
from edgevid.zoo import MODELS
from edgevid.zoo.c3d import network as c3d

LISTS = (nn.Sequential, nn.ModuleList)


def short_network(name: str, frames: int, size: int, **sizes: int) -> nn.Module:
    """``create_model(name, ...)`` with one of each kind of block, random weights of seed 0.

    A block is dropped if its output has its input's shape and one before it differs only in its channels.
    C3D repeats nothing and takes no smaller clip, so it gets a quarter of its channels.
    """
    torch.manual_seed(0)
    with narrow_c3d():
        network = edgevid.create_model(name, frames=frames, **sizes).eval()
    lists = list(_outer_lists(network))
    blocks = [block for blocks in lists for block in blocks]
    droppable = _keep_shape(network, MODELS[name].input_shape(frames, size), blocks)
    kinds: set[str] = set()
    for blocks in lists:
        for block in list(blocks):
            # Channels have two digits or more; strides, kernel sizes and groups of few channels have one.
            kind = re.sub(r"\b\d{2,}\b", "C", repr(block))
            if kind in kinds and block in droppable and _is_block(block):
                del blocks[list(blocks).index(block)]
            kinds.add(kind)
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
    """Builds C3D with a quarter of its channels, a sixteenth of its weights and MACs."""
    groups = tuple(tuple((name, channels // 4) for name, channels in group) for group in c3d.GROUPS)
    hidden = c3d.HIDDEN // 4
    with (
        mock.patch.multiple(c3d, GROUPS=groups, HIDDEN=hidden),
        mock.patch.object(c3d.C3D, "feature_channels", hidden),
    ):
        yield


def _outer_lists(module: nn.Module) -> Iterator[nn.Sequential | nn.ModuleList]:
    """The lists of blocks, but none that is inside a block; a list of stages is none of blocks."""
    for child in module.children():
        if _has_blocks(child) and not any(map(_has_blocks, child)):
            yield child
        else:
            yield from _outer_lists(child)


def _has_blocks(module: nn.Module) -> bool:
    """Whether it is a list with more than single layers in it."""
    return isinstance(module, LISTS) and any(map(_is_block, module))


def _is_block(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _keep_shape(network: nn.Module, shape: tuple[int, ...], blocks: list[nn.Module]) -> set[nn.Module]:
    """The blocks that give a tensor of their first input's shape."""
    keeping: set[nn.Module] = set()

    def look(block: nn.Module, inputs: tuple, output: object) -> None:
        if getattr(output, "shape", None) == inputs[0].shape:
            keeping.add(block)

    hooks = [block.register_forward_hook(look) for block in blocks]
    with torch.no_grad():
        network(torch.zeros(shape))
    for hook in hooks:
        hook.remove()
    return keeping

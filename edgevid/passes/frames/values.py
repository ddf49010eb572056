"""What the rewrite of volumes (N, C, T, H, W) to frames (N*T, C, H, W) is said in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues

TIME = 2
"""The axis of a volume that counts frames."""


class NoFrameFormError(Exception):
    """The node can only be computed on volumes; the message says why."""


@dataclass(frozen=True)
class Frames:
    """A volume ``(N, C, T, H, W)`` as ``value``, ``(N*T, C, H, W)``: ``clips`` is N, ``count`` T."""

    value: ir.Value
    clips: int
    count: int


@dataclass(frozen=True)
class Operands:
    node: ir.Node
    constants: ConstantValues

    def numbers(self, position: int) -> np.ndarray | None:
        """The constant that is read there; None if it is left out or computed."""
        inputs = self.node.inputs
        value = inputs[position] if position < len(inputs) else None
        return None if value is None else self.constants.of(value)

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.node.attributes.get_ints(name, default))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the volume that is read first."""
        return tuple(self.node.inputs[0].shape.numpy())

    @property
    def result_shape(self) -> tuple[int, ...]:
        return tuple(self.node.outputs[0].shape.numpy())

    @property
    def explicit_padding(self) -> bool:
        return self.node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


@dataclass(frozen=True)
class Form:
    """``check`` raises ``NoFrameFormError``; ``volumes`` are the inputs that ``build`` gets as frames."""

    check: Callable[[Operands], None]
    build: Callable[[Operands, list[Frames], Builder], Frames]
    volumes: Callable[[Operands], list[ir.Value]] = lambda given: [given.node.inputs[0]]


def refuse_if(wrong: bool, why: str) -> None:
    if wrong:
        raise NoFrameFormError(why)


def like(frames: Frames, given: Operands, inputs: list[ir.Value], build: Builder, **attributes) -> Frames:
    """The node's own operator on frames; it gives as many frames as it reads."""
    _, channels, _, *pixels = given.result_shape
    shape = (frames.clips * frames.count, channels, *pixels)
    value = build.node(given.node.op_type, inputs, shape, given.node.outputs[0].type, **attributes)
    return Frames(value, frames.clips, frames.count)

"""The data types of the conversion of volumes (N, C, T, H, W) to frames (N*T, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues

TIME = 2
"""The time axis of a volume."""


class NotConvertibleError(Exception):
    """The node can only run on volumes; the message is the reason."""


@dataclass(frozen=True)
class Frames:
    """A volume ``(N, C, T, H, W)`` as ``value``, ``(N*T, C, H, W)``: ``clips`` is N, ``count`` T."""

    value: ir.Value
    clips: int
    count: int


@dataclass(frozen=True)
class Operands:
    """A node, with access to its constant inputs, attributes and shapes."""

    node: ir.Node
    constants: ConstantValues

    def numbers(self, position: int) -> np.ndarray | None:
        """The constant input at ``position``; None if it is omitted or computed."""
        inputs = self.node.inputs
        value = inputs[position] if position < len(inputs) else None
        return None if value is None else self.constants.of(value)

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.node.attributes.get_ints(name, default))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first input."""
        return tuple(self.node.inputs[0].shape.numpy())

    @property
    def result_shape(self) -> tuple[int, ...]:
        return tuple(self.node.outputs[0].shape.numpy())

    @property
    def explicit_padding(self) -> bool:
        return self.node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


@dataclass(frozen=True)
class Conversion:
    """``check`` raises ``NotConvertibleError``; ``volumes`` are the inputs that ``build`` gets as frames."""

    check: Callable[[Operands], None]
    build: Callable[[Operands, list[Frames], Builder], Frames]
    volumes: Callable[[Operands], list[ir.Value]] = lambda operands: [operands.node.inputs[0]]


def refuse_if(condition: bool, reason: str) -> None:
    if condition:
        raise NotConvertibleError(reason)


def like(frames: Frames, operands: Operands, inputs: list[ir.Value], build: Builder, **attributes) -> Frames:
    """Apply the node's operator to frames; the number of frames stays."""
    _, channels, _, *pixels = operands.result_shape
    shape = (frames.clips * frames.count, channels, *pixels)
    value = build.node(operands.node.op_type, inputs, shape, operands.node.outputs[0].type, **attributes)
    return Frames(value, frames.clips, frames.count)

"""Helpers that write TIR.

``function`` opens a function and ``argument`` adds its arguments; ``vector`` addresses neighboring channels;
``Epilogue`` is applied to a convolution's sum before it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as T

SCHEDULED = "edgevid.scheduled"
"""The attribute of a function whose loops are final."""

OPAQUE = 8
"""TVM's operator pattern of a function that is not fused with others."""


@contextmanager
def function(name: str) -> Iterator[IRBuilder]:
    """A function with its own loops; in the block, ``argument`` adds its tensors in order, outputs last."""
    # Two statements: the builder has the function once the inner block has ended.
    with IRBuilder() as builder:  # noqa: SIM117
        with T.prim_func(s_tir=True):
            T.func_name(name)
            T.func_attr({"tirx.noalias": True, "global_symbol": name, "op_pattern": OPAQUE, SCHEDULED: True})
            yield builder


def argument(name: str, shape: Sequence[int]):
    """A float32 tensor argument of the function."""
    return T.arg(name, T.buffer(tuple(shape), "float32"))


def view(buffer, shape: Sequence[int]):
    """The same memory with another shape of the same number of elements."""
    if tuple(int(extent) for extent in buffer.shape) == tuple(shape):
        return buffer
    return IRBuilder.name(buffer.name, T.decl_buffer(tuple(shape), "float32", data=buffer.data))


def registers(shape: Sequence[int]):
    """An accumulator that stays in registers if all its indices are constants."""
    return IRBuilder.name("sums", T.alloc_buffer(tuple(shape), "float32", scope="local"))


def vector(start, lanes: int):
    """The index of ``lanes`` neighboring elements."""
    return T.Ramp(start, 1, lanes) if lanes > 1 else start


def broadcast(value, lanes: int):
    """One value in every lane."""
    if isinstance(value, float):
        value = tirx.const(value, "float32")
    return T.Broadcast(value, lanes) if lanes > 1 else value


@contextmanager
def when(condition) -> Iterator[None]:
    """Run the statements of the block if ``condition`` holds; None always holds."""
    if condition is None:
        yield
        return
    with T.If(condition), T.Then():
        yield


def both(*conditions):
    """The conjunction of the conditions that are not None; None if all are."""
    present = [condition for condition in conditions if condition is not None]
    if not present:
        return None
    result = present[0]
    for condition in present[1:]:
        result = tirx.all(result, condition)
    return result


@dataclass(frozen=True)
class Epilogue:
    """Applied to a sum, which includes the bias: a residual is added, then the activation applied.

    ``activation`` is ``("relu",)``, ``("clip", low, high)``, ``("leaky", slope)`` or empty.
    """

    residual: bool = False
    activation: tuple = ()

    def apply(self, value, residual, lanes: int):
        """The value to write, from the sum and the vector of the residual (None without one)."""
        if residual is not None:
            value = value + residual
        if not self.activation:
            return value
        kind, *numbers = self.activation
        zero = broadcast(0.0, lanes)
        if kind == "relu":
            return tirx.max(value, zero)
        if kind == "clip":
            low, high = numbers
            return tirx.min(tirx.max(value, broadcast(low, lanes)), broadcast(high, lanes))
        if kind == "leaky":
            return tirx.max(value, zero) + tirx.min(value, zero) * broadcast(numbers[0], lanes)
        raise ValueError(f"unknown activation {kind!r}")


PLAIN = Epilogue()
"""No residual and no activation."""

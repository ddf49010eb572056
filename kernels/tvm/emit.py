"""Small pieces of TIR that the functions of this folder are written with.

``Function`` opens a function and names its arguments; ``vector`` addresses neighbouring channels;
``Epilogue`` is what a convolution does to a sum before it is written.
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
"""TVM's number for a function that is not fused with others."""


@contextmanager
def function(name: str) -> Iterator[IRBuilder]:
    """A function with loops of its own; inside, ``argument`` adds its tensors in order, the results last."""
    # Not one statement: the builder has the function once the inner block is left.
    with IRBuilder() as builder:  # noqa: SIM117
        with T.prim_func(s_tir=True):
            T.func_name(name)
            T.func_attr({"tirx.noalias": True, "global_symbol": name, "op_pattern": OPAQUE, SCHEDULED: True})
            yield builder


def argument(name: str, shape: Sequence[int]):
    """A float32 tensor that the function takes."""
    return T.arg(name, T.buffer(tuple(shape), "float32"))


def view(buffer, shape: Sequence[int]):
    """The same memory under another shape of as many elements."""
    if tuple(int(extent) for extent in buffer.shape) == tuple(shape):
        return buffer
    return IRBuilder.name(buffer.name, T.decl_buffer(tuple(shape), "float32", data=buffer.data))


def registers(shape: Sequence[int]):
    """Sums small enough to stay in registers: every index of theirs must be a constant."""
    return IRBuilder.name("sums", T.alloc_buffer(tuple(shape), "float32", scope="local"))


def vector(start, lanes: int):
    """The index of ``lanes`` neighbouring elements."""
    return T.Ramp(start, 1, lanes) if lanes > 1 else start


def broadcast(value, lanes: int):
    """One value in every lane."""
    if isinstance(value, float):
        value = tirx.const(value, "float32")
    return T.Broadcast(value, lanes) if lanes > 1 else value


@contextmanager
def when(condition) -> Iterator[None]:
    """The statements inside run if ``condition`` holds; None always does."""
    if condition is None:
        yield
        return
    with T.If(condition), T.Then():
        yield


def both(*conditions):
    """All of the conditions that are not None; None if there is none."""
    found = [condition for condition in conditions if condition is not None]
    if not found:
        return None
    joined = found[0]
    for condition in found[1:]:
        joined = tirx.all(joined, condition)
    return joined


@dataclass(frozen=True)
class Epilogue:
    """What happens to a sum: the bias is in it already, a residual is added, then comes the activation.

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
        raise ValueError(f"no activation is called {kind!r}")


PLAIN = Epilogue()
"""Nothing happens to the sum."""

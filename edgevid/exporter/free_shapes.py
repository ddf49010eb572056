"""Which sizes a network takes along a free dimension, as the guards of a trace tell, and the layer of each.

``torch.export`` traces with symbols for free dimensions, and notes a guard wherever the network's code, or an
operator, asks something of one: that it is 4, or even. Where a guard fails for another value, the layer that
ran when it was made is what holds the number.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sympy
import torch

STEPS = (1, 2, 4, 8, 16, 32)
"""Distances between two values of a dimension that are tried: a network may take every fourth number."""

TRIED = (1, 2, 3, 7, 16)
"""So many steps further, each guard must hold."""

HARMLESS = ("conv", "check_contiguous_sizes_strides")
"""Functions of torch that choose a kernel, or ask how a tensor lies in memory; no value depends on them."""

TORCH = str(Path(torch.__file__).parent)


class LayerWatch:
    """While a network runs, eagerly or in a trace: the layer it is in, and the guards that each layer made.

    A context manager; afterwards ``step`` and ``reason`` tell what the trace assumes of an axis.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network
        self._names = {module: name for name, module in network.named_modules()}
        self._running: list[torch.nn.Module] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._shape_env: object = None
        self._traced: dict[int, tuple[sympy.Symbol, int]] = {}
        self._entered: list[tuple[int, torch.nn.Module | None]] = []

    def __enter__(self) -> LayerWatch:
        self._hooks.append(self._network.register_forward_pre_hook(self._see_input))
        for module in self._names:
            self._hooks.append(module.register_forward_pre_hook(self._enter))
            self._hooks.append(module.register_forward_hook(self._leave))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _see_input(self, module: torch.nn.Module, inputs: tuple) -> None:
        for axis, size in enumerate(inputs[0].shape):
            if isinstance(size, torch.SymInt):
                self._shape_env = size.node.shape_env
                self._traced[axis] = size.node.expr, size.node.hint

    def _enter(self, module: torch.nn.Module, inputs: tuple) -> None:
        self._running.append(module)
        self._entered.append((len(self._guards), module))

    def _leave(self, module: torch.nn.Module, inputs: tuple, outputs: object) -> None:
        self._running.pop()
        self._entered.append((len(self._guards), self._running[-1] if self._running else None))

    @property
    def _guards(self) -> Sequence:
        return getattr(self._shape_env, "guards", ())

    def step(self, axis: int) -> int | None:
        """The distance between the values of ``axis`` that the guards allow; None if they allow one alone."""
        return next((step for step in STEPS if self._broken_guard(axis, step) is None), None)

    def reason(self, axis: int) -> str:
        """The layer whose guard allows one value of ``axis`` alone."""
        return self._made(self._broken_guard(axis, STEPS[-1]))

    def broken_layer(self, shape: Sequence[int]) -> str | None:
        """The layer whose guard fails for an input of this ``shape``; None if every guard holds."""
        number = self._first_broken(dict(enumerate(shape)))
        return None if number is None else self._made(number)

    def _made(self, number: int) -> str:
        """The layer that made a guard."""
        module = next((layer for count, layer in reversed(self._entered) if count <= number), None)
        frame = self._guards[number].sloc.framework_loc
        line = frame if isinstance(frame, traceback.FrameSummary) else None
        return self._describe(module, line)

    @property
    def layer(self) -> str:
        """The layer that runs, or that ran when an error ended the run: ``backbone.conv1 (Conv2d)``."""
        module = self._running[-1] if self._running else self._network
        return f"{self._names[module] or 'forward'} ({type(module).__name__})"

    def failed_layer(self, error: BaseException) -> str:
        """The layer in which the run ended with ``error``."""
        while error.__cause__ is not None:
            error = error.__cause__
        lines = traceback.extract_tb(error.__traceback__)
        own = [line for line in lines if not line.filename.startswith(TORCH)]
        return self._describe(self._running[-1] if self._running else None, own[-1] if own else None)

    def _broken_guard(self, axis: int, step: int) -> int | None:
        """The first guard that fails a few ``step`` further along ``axis``, by its place in the list."""
        if axis not in self._traced:
            return None
        _, traced = self._traced[axis]
        broken = [self._first_broken({axis: traced + count * step}) for count in TRIED]
        return min((number for number in broken if number is not None), default=None)

    def _first_broken(self, sizes: Mapping[int, int]) -> int | None:
        """The first guard that fails for these ``sizes`` of axes, the others being as they were traced."""
        values = {
            symbol: sympy.Integer(sizes.get(axis, traced)) for axis, (symbol, traced) in self._traced.items()
        }
        asked = {self._traced[axis][0] for axis in sizes if axis in self._traced}
        for number, guard in enumerate(self._guards):
            if not asked & guard.expr.free_symbols or _is_harmless(guard):
                continue
            if guard.expr.xreplace(values) == sympy.false:
                return number
        return None

    def _describe(self, module: torch.nn.Module | None, line: traceback.FrameSummary | None) -> str:
        place = f", {Path(line.filename).name}:{line.lineno}" if line and _is_own(line.filename) else ""
        name = self._names.get(module, "")
        if not name:
            return f"its forward ({type(self._network).__name__}{place})"
        return f"its layer '{name}' ({type(module).__name__}{place})"


def _is_harmless(guard: Any) -> bool:
    """Whether no value depends on it. Once a size is known to be 1, however, its number is written out."""
    name = getattr(guard.sloc.framework_loc, "name", None)
    fixes = isinstance(guard.expr, sympy.Eq) and guard.expr.rhs.is_number
    return name in HARMLESS and not fixes


def _is_own(filename: str) -> bool:
    return not filename.startswith((TORCH, "<"))

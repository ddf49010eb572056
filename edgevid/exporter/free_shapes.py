"""The sizes that a network accepts along a free dimension, read from the guards of a trace.

``torch.export`` traces free dimensions as symbols, and records a guard wherever the network's code, or an
operator, depends on one: that it is 4, or even. Where a guard fails for another size, the layer that ran when
it was recorded is the one that needs the traced size.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sympy
import torch

STEPS = (1, 2, 4, 8, 16, 32)
"""Candidate steps between two sizes of a dimension: a network may accept only multiples of 4."""

MULTIPLES = (1, 2, 3, 7, 16)
"""Every guard must hold this many steps beyond the traced size."""

HARMLESS = ("conv", "check_contiguous_sizes_strides")
"""Functions of torch that choose a kernel or check a memory layout; no result depends on their guards."""

TORCH = str(Path(torch.__file__).parent)


class LayerWatch:
    """Records, while a network runs eagerly or in a trace, the current layer and the guards of each layer.

    A context manager; afterwards ``step`` and ``reason`` report what the trace assumes of an axis.
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
        """The step between the sizes of ``axis`` that the guards allow; None if they allow only one."""
        return next((step for step in STEPS if self._broken_guard(axis, step) is None), None)

    def reason(self, axis: int) -> str:
        """The layer whose guard fixes the size of ``axis``."""
        return self._layer_of(self._broken_guard(axis, STEPS[-1]))

    def broken_layer(self, shape: Sequence[int]) -> str | None:
        """The layer whose guard fails for an input of this ``shape``; None if every guard holds."""
        number = self._first_broken(dict(enumerate(shape)))
        return None if number is None else self._layer_of(number)

    def _layer_of(self, number: int) -> str:
        """The layer that recorded a guard."""
        module = next((layer for count, layer in reversed(self._entered) if count <= number), None)
        frame = self._guards[number].sloc.framework_loc
        line = frame if isinstance(frame, traceback.FrameSummary) else None
        return self._describe(module, line)

    @property
    def layer(self) -> str:
        """The layer that is running, or ran when an error ended the run: ``backbone.conv1 (Conv2d)``."""
        module = self._running[-1] if self._running else self._network
        return f"{self._names[module] or 'forward'} ({type(module).__name__})"

    def failed_layer(self, error: BaseException) -> str:
        """The layer that raised ``error``."""
        while error.__cause__ is not None:
            error = error.__cause__
        lines = traceback.extract_tb(error.__traceback__)
        user = [line for line in lines if not line.filename.startswith(TORCH)]
        return self._describe(self._running[-1] if self._running else None, user[-1] if user else None)

    def _broken_guard(self, axis: int, step: int) -> int | None:
        """The index of the first guard that fails a few ``step`` beyond the traced size of ``axis``."""
        if axis not in self._traced:
            return None
        _, traced = self._traced[axis]
        broken = [self._first_broken({axis: traced + count * step}) for count in MULTIPLES]
        return min((number for number in broken if number is not None), default=None)

    def _first_broken(self, sizes: Mapping[int, int]) -> int | None:
        """The index of the first guard that fails for these ``sizes`` by axis, other axes as traced."""
        values = {
            symbol: sympy.Integer(sizes.get(axis, traced)) for axis, (symbol, traced) in self._traced.items()
        }
        symbols = {self._traced[axis][0] for axis in sizes if axis in self._traced}
        for number, guard in enumerate(self._guards):
            if not symbols & guard.expr.free_symbols or _is_harmless(guard):
                continue
            if guard.expr.xreplace(values) == sympy.false:
                return number
        return None

    def _describe(self, module: torch.nn.Module | None, line: traceback.FrameSummary | None) -> str:
        place = f", {Path(line.filename).name}:{line.lineno}" if line and _is_user_code(line.filename) else ""
        name = self._names.get(module, "")
        if not name:
            return f"its forward ({type(self._network).__name__}{place})"
        return f"its layer '{name}' ({type(module).__name__}{place})"


def _is_harmless(guard: Any) -> bool:
    """Whether no result depends on the guard. One that fixes a size matters: the size becomes a constant."""
    name = getattr(guard.sloc.framework_loc, "name", None)
    fixes = isinstance(guard.expr, sympy.Eq) and guard.expr.rhs.is_number
    return name in HARMLESS and not fixes


def _is_user_code(filename: str) -> bool:
    return not filename.startswith((TORCH, "<"))

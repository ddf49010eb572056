"""The profile of a TVM library: the virtual machine calls back before and after each function.

A function is a layer of the compiled network; what it was in the bundle's graph is not known any more. Those
named ``edgevid_*`` are edgevid's kernels (``kernels/*/tvm.py``), the others are TVM's own.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from edgevid.backends.protocol import LayerTimes, Profile, Runner

BUILTIN, OWN = "vm.builtin.", "edgevid_"
CONV, DEPTHWISE = "edgevid_conv", "edgevid__depthwise"
AXES = {CONV: 5, DEPTHWISE: 3}
"""Axes of the packed weights: blocks of outputs, window and inputs, lanes; window and channels."""
UNCOUNTED = re.compile("edgevid_|conv|matmul|dense")


@dataclass(frozen=True)
class _Function:
    """A call in a run: the shapes and the bytes of its tensors, of which the last is the result."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]


class FunctionProfiler:
    """A ``Profiler``; ``open_again(recorder)`` opens the library with this profiler as the recorder."""

    def __init__(self, open_again: Callable[[FunctionProfiler], Runner]) -> None:
        self._functions: list[_Function] = []
        self._spans: list[list[tuple[int, int]]] = []
        self._runs: list[tuple[int, int]] = []
        self._start = 0
        self.runner = open_again(self)

    def instrument(self, machine: Any, entry: str) -> Callable[..., Any]:
        """The function ``entry`` of a virtual machine, of which each call is a run."""
        machine.set_instrument(self._record)
        main = machine[entry]

        def run(*tensors: Any) -> Any:
            self._spans.append([])
            start = time.perf_counter_ns()
            result = main(*tensors)
            self._runs.append((start, time.perf_counter_ns()))
            return result

        return run

    def finish(self, skip: int) -> Profile:
        runs, spans = self._runs[skip:], self._spans[skip:]
        origin = runs[0][0] if runs else 0

        def milliseconds(span: tuple[int, int]) -> tuple[float, float]:
            return (span[0] - origin) / 1e6, (span[1] - span[0]) / 1e6

        used: Counter[str] = Counter()
        layers = []
        for index, function in enumerate(self._functions):
            used[function.name] += 1
            number = used[function.name]
            name = function.name if number == 1 else f"{function.name} ({number})"
            layers.append(_layer(name, function, tuple(milliseconds(run[index]) for run in spans)))
        return Profile(tuple(layers), tuple(map(milliseconds, runs)), {})

    def _record(self, _: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
        """Called by the virtual machine; 0 has it go on."""
        now = time.perf_counter_ns()
        if name.startswith(BUILTIN):
            return 0
        if not before:
            self._spans[-1].append((self._start, now))
            return 0
        if len(self._spans) == 1:
            tensors = [argument for argument in arguments if hasattr(argument, "shape")]
            shapes = tuple(tuple(map(int, tensor.shape)) for tensor in tensors)
            bytes_each = [max(1, tensor.dtype.bits // 8) for tensor in tensors]
            sizes = tuple(prod(shape) * each for shape, each in zip(shapes, bytes_each))
            self._functions.append(_Function(name, shapes, sizes))
        self._start = time.perf_counter_ns()
        return 0


def _layer(name: str, function: _Function, spans: tuple[tuple[float, float], ...]) -> LayerTimes:
    macs = _macs(function)
    return LayerTimes(
        name=name,
        op=function.name.rstrip("_0123456789"),
        provider="TVM",
        ran_by="edgevid kernel" if function.name.startswith(OWN) else "runtime",
        nodes=(),
        macs=macs,
        executed_macs=macs,
        arithmetic="fp32",
        read_bytes=sum(function.sizes[:-1]),
        written_bytes=function.sizes[-1] if function.sizes else 0,
        samples_ms=tuple(duration for _, duration in spans),
        spans_ms=tuple((span,) for span in spans),
    )


def _macs(function: _Function) -> int | None:
    """The MACs of edgevid's convolutions by their shapes; 0 or None for other functions, by their name."""
    for kernel, axes in AXES.items():
        if function.name.startswith(kernel):
            (weights,) = [shape for shape in function.shapes if len(shape) == axes]
            return prod(function.shapes[-1]) * prod(weights[:-1]) // (weights[0] if kernel == CONV else 1)
    return None if UNCOUNTED.search(function.name) else 0

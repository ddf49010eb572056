"""Decompositions of torch operators that the ONNX exporter cannot translate, or translates wrongly.

Each is exact and supports symbolic sizes. Operators that the exporter translates well are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.nn import functional

from edgevid.exporter.local_decompositions import decompose_locally

aten = torch.ops.aten

MAX_LAYERS = 3
"""Layers that an error names; a network often repeats one many times."""

POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def decompose(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """``exported``, whose ``run_decompositions``, which the exporter calls, applies ``TABLE`` too.

    The program is traced again, once rather than twice, only if some operator cannot be replaced in place.
    """
    trace = exported.run_decompositions

    def run_decompositions(exporters: Mapping[Any, Callable[..., Any]] | None = None, **options: Any) -> Any:
        if exporters is None:
            return trace(**options)
        targets = {node.target for node in exported.graph.nodes}
        decompositions = {operator: function for operator, function in TABLE.items() if operator in targets}
        if not options and decompose_locally(exported, exporters.keys() | decompositions.keys()):
            return exported
        return trace({**exporters, **decompositions}, **options)

    exported.run_decompositions = run_decompositions
    return exported


def untranslated(exported: torch.export.ExportedProgram, error: BaseException) -> str | None:
    """An error text with the operator that the exporter failed on, and its layers; None if it is unknown."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    target = next(
        (match for link in chain if (match := re.search(r"target=torch\.ops\.([\w.]+)", str(link)))), None
    )
    if target is None:
        return None
    operator = target[1].removesuffix(".default")
    layers = _layers_of(exported, target[1]) or _layers_of(exported.run_decompositions(), target[1])
    places = f" in {' and '.join(layers[:MAX_LAYERS])}" if layers else ""
    more = f" and {len(layers) - MAX_LAYERS} more" if len(layers) > MAX_LAYERS else ""
    return f"the operator {operator}{places}{more} has no translation to ONNX: write it with other operators"


def _layers_of(exported: torch.export.ExportedProgram, operator: str) -> list[str]:
    layers = []
    for node in exported.graph.nodes:
        if node.op == "call_function" and str(node.target) == operator:
            path, kind = list(node.meta.get("nn_module_stack", {"": ("", "")}).values())[-1]
            kind = str(getattr(kind, "__name__", kind)).rpartition(".")[2]
            layers.append(f"the layer '{path}' ({kind})" if path else f"the network's forward ({kind})")
    return list(dict.fromkeys(layers))


def _rrelu(
    x: torch.Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: object = None,
) -> Any:
    return NotImplemented if training else functional.leaky_relu(x, (lower + upper) / 2)


def _adaptive_average(x: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """The mean over windows: a plain pool where all windows have one size, else axis by axis.

    Along an axis it is a matrix product with the weight of each element in each window.
    """
    lengths, dimensions = x.shape[-len(sizes) :], len(sizes)
    fixed = all(isinstance(number, int) for number in (*lengths, *sizes))
    if fixed and set(sizes) != {1} and not any(length % size for length, size in zip(lengths, sizes)):
        return POOLS[dimensions](x, [length // size for length, size in zip(lengths, sizes)])
    if whole := [axis for axis in range(-1, -dimensions - 1, -1) if sizes[axis] == 1]:
        x = x.mean(whole, keepdim=True)
    for axis, size in zip(range(-dimensions, 0), sizes):
        length = x.shape[axis]
        if axis in whole or (type(size) is type(length) and size == length):
            continue
        starts, ends = _windows(length, size, x.device)
        places = torch.arange(length, device=x.device)[:, None]
        inside = (places >= starts) & (places < ends)
        weights = inside.to(x.dtype) / (ends - starts).to(x.dtype)
        x = (x.transpose(axis, -1) @ weights).transpose(axis, -1)
    return x


def _adaptive_maximum(x: torch.Tensor, sizes: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The maxima, and the flat index of each within its image or volume."""
    pooled = x.shape[-len(sizes) :]
    windows, places = x, torch.zeros([1] * 2 * len(sizes), dtype=torch.int64, device=x.device)
    for number, (length, size) in enumerate(zip(pooled, sizes)):
        starts, ends = _windows(length, size, x.device)
        longest = (length + size - 1) // size + 1
        steps = torch.arange(longest, device=x.device)
        window = torch.minimum(starts[:, None] + steps, ends[:, None] - 1)  # (size, longest)
        axis = x.ndim - len(sizes) + 2 * number
        windows = windows.index_select(axis, window.flatten()).unflatten(axis, (size, longest))
        inner = prod(pooled[number + 1 :])
        shape = [1] * 2 * len(sizes)
        shape[2 * number : 2 * number + 2] = [size, longest]
        places = places + (window * inner).view(shape)
    # (..., size, longest, size, longest) to (..., size, size, longest * longest)
    first = x.ndim - len(sizes)
    outer = [first + 2 * number for number in range(len(sizes))]
    order = [*range(first), *outer, *(axis + 1 for axis in outer)]
    windows = windows.permute(order).flatten(-len(sizes))
    places = places.permute([axis - first for axis in order[first:]]).flatten(-len(sizes))
    argmax = windows.argmax(-1, keepdim=True)
    indices = places.expand(windows.shape).gather(-1, argmax).squeeze(-1)
    return windows.amax(-1), indices


def _windows(length: int, size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end of each of ``size`` windows over ``length`` elements; they may overlap."""
    numbers = torch.arange(size, device=device)
    return numbers * length // size, ((numbers + 1) * length + size - 1) // size


def _average_by_divisor(dimensions: int) -> Callable[..., Any]:
    """``avg_poolNd`` with a ``divisor_override``, which the exporter ignores."""

    def average(
        x: torch.Tensor,
        kernel_size: Sequence[int],
        stride: Sequence[int] = (),
        padding: Sequence[int] = (0,),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if divisor_override is None:
            return NotImplemented
        kernel, pads = _per_axis(kernel_size, dimensions), _per_axis(padding, dimensions)
        strides = _per_axis(stride, dimensions) if stride else kernel
        sides: list[int] = []
        for length, taps, step, pad in zip(x.shape[-dimensions:], kernel, strides, pads):
            beyond = (-(length + 2 * pad - taps) % step) if ceil_mode else 0
            # torch drops a last window that would start in the padding after the image.
            starts_beyond = beyond and (length + 2 * pad + beyond - taps) >= length + pad
            sides = [pad, pad + (0 if starts_beyond else beyond), *sides]
        means = POOLS[dimensions](functional.pad(x, sides), kernel, strides)
        return means * (prod(kernel) / divisor_override)

    return average


def _per_axis(sizes: Sequence[int], dimensions: int) -> list[int]:
    return list(sizes) * dimensions if len(sizes) == 1 else list(sizes)


TABLE: dict[Any, Callable[..., Any]] = {
    aten.adaptive_avg_pool1d.default: _adaptive_average,
    aten.adaptive_avg_pool2d.default: _adaptive_average,
    aten._adaptive_avg_pool2d.default: _adaptive_average,
    aten.adaptive_avg_pool3d.default: _adaptive_average,
    aten._adaptive_avg_pool3d.default: _adaptive_average,
    aten.adaptive_max_pool1d.default: _adaptive_maximum,
    aten.adaptive_max_pool2d.default: _adaptive_maximum,
    aten.adaptive_max_pool3d.default: _adaptive_maximum,
    aten.rrelu.default: _rrelu,
    aten.avg_pool2d.default: _average_by_divisor(2),
    aten.avg_pool3d.default: _average_by_divisor(3),
}
"""Operator to its replacement; one that returns ``NotImplemented`` leaves the call unchanged."""

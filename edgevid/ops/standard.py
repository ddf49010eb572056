"""What standard operators cost; the temporal ops have costs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

Shape = Sequence[int]


def macs(op_type: str, x: Shape, weights: Shape, y: Shape, transposed: bool = False) -> int:
    """MACs of a convolution, a linear layer or a matrix product from shapes; 0 for other operators.

    ``x`` and ``weights`` are the first two inputs, ``y`` the output; ``transposed`` is a Gemm's ``transA``.
    """
    if op_type == "Conv":
        return prod(y) * prod(weights[1:])
    if op_type == "ConvTranspose":
        return prod(x) * prod(weights[1:])
    if op_type == "Gemm":
        return prod(y) * x[0 if transposed else 1]
    if op_type == "MatMul":
        return prod(y) * x[-1]
    return 0


WITH_MACS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

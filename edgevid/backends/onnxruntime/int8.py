"""What ONNX Runtime needs to be told for int8 on x86-64."""

from __future__ import annotations

from pathlib import Path

from edgevid.host.processor import CPUINFO, processor_flags

EXACT = {"avx512_vnni", "avx_vnni"}
"""Instruction sets that sum products of uint8 and int8 in 32 bits; without, sums of two overflow in 16."""


def needs_wider_products(cpuinfo: Path = CPUINFO) -> bool:
    """Whether int8 weights must become uint8, whose kernels do not overflow but take three times as long.

    Where the processor does not tell its instruction sets, they must.
    """
    return not EXACT & processor_flags(cpuinfo)

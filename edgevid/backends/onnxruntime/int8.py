"""The session setting that keeps ONNX Runtime's int8 kernels exact on x86-64."""

from __future__ import annotations

from pathlib import Path

from edgevid.host.processor import CPUINFO, processor_flags

EXACT = {"avx512_vnni", "avx_vnni"}
"""Instruction sets that accumulate products of uint8 and int8 in 32 bits; without them, the sum of two
products overflows 16 bits."""


def needs_wider_products(cpuinfo: Path = CPUINFO) -> bool:
    """Whether int8 weights must become uint8, whose kernels do not overflow but take three times as long.

    True where the processor's instruction sets are unknown.
    """
    return not EXACT & processor_flags(cpuinfo)

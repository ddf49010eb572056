"""Compile layers in a process of its own: a request as JSON on stdin, what a launch needs as JSON on stdout.

A process, because Triton reads from the environment whether to interpret its kernels, and holds much memory.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from edgevid.kernels.shift_conv.triton_call import Gpu, choose_blocks
from edgevid.kernels.shift_conv.triton_compile import Layer, compile_ahead


def compile_layers(
    layers: list[dict[str, Any]], rows: list[int], architecture: int, ptx_version: int, gpu: Gpu
) -> list[dict[str, Any]]:
    """For each layer (the fields of ``Layer``) of so many ``rows`` its PTX and the numbers of a launch."""
    answers = []
    for fields, count in zip(layers, rows, strict=True):
        layer = Layer(**fields)
        blocks = choose_blocks(count, layer.channels, layer.outputs, layer.fold, gpu)
        made = compile_ahead(layer, architecture, blocks, ptx_version)
        answers.append(
            {
                "ptx": made.asm["ptx"],
                "kernel": made.metadata.name,
                "rows": blocks.rows,
                "outputs": blocks.outputs,
                "shared_bytes": made.metadata.shared,
                "threads": 32 * made.metadata.num_warps,
            }
        )
    return answers


if __name__ == "__main__":
    request = json.load(sys.stdin)
    request["gpu"] = Gpu(**request["gpu"])
    json.dump(compile_layers(**request), sys.stdout)

"""Compile layers in a subprocess: a request as JSON on stdin, kernels and launch parameters as JSON on
stdout.

A subprocess, because Triton's interpreter mode is set by the environment, and Triton takes much memory.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from edgevid.kernels.shift_conv.triton_call import Gpu, choose_blocks
from edgevid.kernels.shift_conv.triton_compile import Layer, compile_ahead


def compile_layers(
    layers: list[dict[str, Any]], rows: list[int], sm: int, ptx_version: int, gpu: Gpu
) -> list[dict[str, Any]]:
    """The PTX and launch parameters of each layer (the fields of ``Layer``), given its number of ``rows``."""
    kernels = []
    for fields, count in zip(layers, rows, strict=True):
        layer = Layer(**fields)
        blocks = choose_blocks(count, layer.channels, layer.outputs, layer.fold, gpu)
        kernel = compile_ahead(layer, sm, blocks, ptx_version)
        kernels.append(
            {
                "ptx": kernel.asm["ptx"],
                "kernel": kernel.metadata.name,
                "rows": blocks.rows,
                "outputs": blocks.outputs,
                "shared_bytes": kernel.metadata.shared,
                "threads": 32 * kernel.metadata.num_warps,
            }
        )
    return kernels


if __name__ == "__main__":
    request = json.load(sys.stdin)
    request["gpu"] = Gpu(**request["gpu"])
    json.dump(compile_layers(**request), sys.stdout)

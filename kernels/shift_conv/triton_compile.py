"""Compile the fused shift and 1x1 convolution ahead of time, on a machine without a GPU.

``python -m edgevid.kernels.shift_conv.triton_compile --channels 256 --outputs 64 --frames 8 --sm 87
--sm-count 8 --shared-kib 163 --ptx 85 --output FOLDER`` writes a cubin, PTX and the launch parameters as
JSON, here for Orin Nano (``edgevid list targets --json``). JetPack 6 takes PTX up to 8.5.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.kernels.shift_conv.triton_call import Blocks, Gpu, choose_blocks

POINTERS = ("x", "weights", "bias", "residual", "y", "state", "next_state")
ALIGNED = [["tt.divisibility", 16]]
"""Every pointer is 16-byte aligned, for vector loads."""


@dataclass(frozen=True)
class Layer:
    """A 1x1 convolution and the shift before it; ``second`` is 0 for the causal one."""

    channels: int
    outputs: int
    frames: int
    fold: int
    first: int = 1
    second: int = -1
    streamed: bool = False
    has_bias: bool = True
    half_bias: bool = False
    has_residual: bool = False
    low: float | None = 0.0
    high: float | None = None


def compile_ahead(layer: Layer, sm: int, blocks: Blocks, ptx_version: int | None = None) -> Any:
    """Triton's compiled kernel for ``sm``, such as 87; ``asm`` has its ``ptx`` and ``cubin``."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from edgevid.kernels.shift_conv.triton import shift_conv_kernel

    has_argument = {
        "bias": layer.has_bias,
        "residual": layer.has_residual,
        "state": layer.streamed,
        "next_state": layer.streamed,
    }
    constants = {
        **{name: None for name, is_used in has_argument.items() if not is_used},
        "CHANNELS": layer.channels, "OUTPUTS": layer.outputs, "FRAMES": layer.frames, "FOLD": layer.fold,
        "FIRST": layer.first, "SECOND": layer.second, "STREAMED": layer.streamed, "HAS_BIAS": layer.has_bias,
        "HAS_RESIDUAL": layer.has_residual, "LOW": layer.low, "HIGH": layer.high, "BLOCK_ROWS": blocks.rows,
        "BLOCK_OUTPUTS": blocks.outputs, "BLOCK_CHANNELS": blocks.channels,
    }  # fmt: skip
    types = dict.fromkeys(POINTERS, "*fp16") | ({} if layer.half_bias else {"bias": "*fp32"})
    types |= {"rows": "i32", "pixels": "i32"}
    names = shift_conv_kernel.arg_names
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    attributes = {(names.index(name),): ALIGNED for name in POINTERS if name not in constants}
    source = ASTSource(shift_conv_kernel, signature, constants, attributes)
    options: dict[str, int] = {"num_warps": blocks.warps, "num_stages": blocks.stages}
    if ptx_version is not None:
        options["ptx_version"] = ptx_version
    return triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--outputs", type=int, required=True)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument(
        "--fold", type=int, help="moved channels of each direction (an eighth of the channels)"
    )
    parser.add_argument("--causal", action="store_true", help="only from the frame before")
    parser.add_argument("--stream", action="store_true", help="one frame, the one before from a state")
    parser.add_argument(
        "--rows", type=int, default=8 * 56 * 56, help="pixels of all frames, to choose blocks by"
    )
    parser.add_argument("--sm", type=int, required=True, help="SM, such as 87 for Orin")
    parser.add_argument("--sm-count", type=int, required=True, help="multiprocessors")
    parser.add_argument("--shared-kib", type=int, required=True, help="shared memory of a block")
    parser.add_argument("--ptx", type=int, help="newest PTX version, such as 85 for 8.5")
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    options = parser.parse_args()
    fold = options.channels // 8 if options.fold is None else options.fold
    directions = (-1, 0) if options.causal or options.stream else (1, -1)
    frames = 1 if options.stream else options.frames
    layer = Layer(options.channels, options.outputs, frames, fold, *directions, streamed=options.stream)
    gpu = Gpu(options.sm_count, options.shared_kib << 10)
    blocks = choose_blocks(options.rows, layer.channels, layer.outputs, fold, gpu)
    kernel = compile_ahead(layer, options.sm, blocks, options.ptx)
    options.output.mkdir(parents=True, exist_ok=True)
    name = f"shift_conv_{layer.channels}_{layer.outputs}_sm{options.sm}"
    (options.output / f"{name}.cubin").write_bytes(kernel.asm["cubin"])
    (options.output / f"{name}.ptx").write_text(kernel.asm["ptx"])
    launch = {
        "kernel": kernel.metadata.name,
        "shared_bytes": kernel.metadata.shared,
        "threads": 32 * kernel.metadata.num_warps,
        "blocks": blocks._asdict(),
        "layer": layer.__dict__,
    }
    (options.output / f"{name}.json").write_text(json.dumps(launch, indent=1) + "\n")
    print(options.output / name)


if __name__ == "__main__":
    main()

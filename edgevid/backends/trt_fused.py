"""TensorRT plugins that have the shift inside the 1x1 convolution after it: our Triton kernels, as PTX.

A layer's kernel is compiled ahead of time for the target's GPU and goes into the bundle as a header of PTX,
which the plugin hands to the driver. Only half precision, channels-last, from compute capability 8.0 on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevid.passes.fuse_shift_convs import FusedLayer

FOLDER = "shift_conv"
SOURCES = ("cuda.cuh", "tensorrt_plugin.cu")
HEADER = "compiled.h"
WORKER = "edgevid.kernels.shift_conv.triton_worker"
LIMIT_S = 300
UNBOUNDED = 3.4e38


@dataclass(frozen=True)
class Gpu:
    """What kernels are compiled for: the architecture (SM) and PTX that its driver takes, and its size."""

    architecture: int
    ptx_version: int
    processors: int
    shared_kib: int


GPUS = {
    "8.7": Gpu(87, 85, 16, 163),
    "11.0": Gpu(80, 85, 20, 163),
    "7.5 or later": Gpu(80, 80, 64, 99),
}
"""By a target's compute capability. PTX for SM 80 runs on every later GPU; JetPack 6 takes PTX 8.5."""


class CannotFuse(Exception):
    """There are no fused kernels; the message says why, for the manifest."""


def write_kernels(layers: list[FusedLayer], compute_capability: str, folder: Path) -> None:
    """``shift_conv/`` in the folder of plugins: the sources, and the kernels that were compiled for them.

    Raises ``CannotFuse`` with the reason if they cannot be compiled here, or for that GPU.
    """
    from importlib.resources import as_file, files

    gpu = gpu_of(compute_capability)
    header = _header(layers, compile_layers(layers, gpu), gpu)
    target = folder / FOLDER
    target.mkdir(parents=True)
    with as_file(files("edgevid.kernels")) as kernels:
        for source in SOURCES:
            shutil.copyfile(kernels / FOLDER / source, target / source)
    (target / HEADER).write_text(header, "utf-8")


def gpu_of(compute_capability: str) -> Gpu:
    if compute_capability not in GPUS:
        raise CannotFuse(f"Triton has no tensor-core code for compute capability {compute_capability}")
    return GPUS[compute_capability]


def compile_layers(layers: list[FusedLayer], gpu: Gpu) -> list[dict[str, Any]]:
    """What ``triton_worker`` answers for the layers; ``CannotFuse`` if it does not."""
    if importlib.util.find_spec("triton") is None:
        raise CannotFuse("Triton is not installed: pip install 'edgevid[triton]'")
    request = {
        "layers": [
            {**{name: value for name, value in asdict(layer).items() if name != "rows"}, "half_bias": True}
            for layer in layers
        ],
        "rows": [layer.rows for layer in layers],
        "architecture": gpu.architecture,
        "ptx_version": gpu.ptx_version,
        "gpu": {"processors": gpu.processors, "shared_bytes": gpu.shared_kib << 10},
    }
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_DISABLE_LINE_INFO"] = "1"
    try:
        done = subprocess.run(
            [sys.executable, "-m", WORKER],
            input=json.dumps(request), capture_output=True, text=True, timeout=LIMIT_S, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CannotFuse(f"Triton compiled no kernels in {LIMIT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise CannotFuse(f"Triton ended with status {done.returncode}: {last}")
    return json.loads(done.stdout)


def _header(layers: list[FusedLayer], compiled: list[Mapping[str, Any]], gpu: Gpu) -> str:
    """C++ that holds the kernels, as ``kernels/shift_conv/cuda.cuh`` includes it."""
    entries = []
    for layer, made in zip(layers, compiled, strict=True):
        bounds = (-UNBOUNDED if layer.low is None else layer.low, layer.high or UNBOUNDED)
        numbers = [
            layer.channels, layer.outputs, layer.frames, layer.fold, layer.first, layer.second,
            *(f"{bound:e}f" for bound in bounds),
            made["rows"], made["outputs"], made["shared_bytes"], made["threads"], f'"{made["kernel"]}"',
        ]  # fmt: skip
        entries.append(f'    {{{", ".join(map(str, numbers))}, R"ptx(\n{made["ptx"]})ptx"}},\n')
    return (
        f"// Kernels for SM {gpu.architecture} and later, compiled by Triton; fields as in cuda.cuh.\n"
        "#pragma once\n\nnamespace edgevid {\nnamespace cuda {\n\n"
        f"constexpr CompiledShiftConv kCompiled[] = {{\n{''.join(entries)}}};\n\n"
        "}  // namespace cuda\n}  // namespace edgevid\n"
    )

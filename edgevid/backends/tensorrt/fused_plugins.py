"""TensorRT plugins that fuse a shift into the 1x1 convolution after it, with Triton kernels as PTX.

A layer's kernel is compiled ahead of time for the target's GPU. The bundle has it as PTX in a C++ header,
which the plugin passes to the driver. Half precision and channels-last only, from compute capability 8.0 on.
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
    from edgevid.specs import Gpu

FOLDER = "shift_conv"
SOURCES = ("cuda.cuh", "tensorrt_plugin.cu")
HEADER = "compiled.h"
WORKER = "edgevid.kernels.shift_conv.triton_worker"
LIMIT_S = 300
UNBOUNDED = 3.4e38
SM = 80
"""The architecture of the kernels. Its PTX runs on every later GPU, and Triton writes the same for SM 80 to
89; for SM 90 and later it may contain instructions of that architecture only."""

OLDEST_PTX, NEWEST_PTX = 70, 85
"""Versions of PTX: the first with SM 80, and the newest that the kernels were compiled to."""


@dataclass(frozen=True)
class CompileTarget:
    """The PTX version and the size of the GPU that kernels are compiled for."""

    ptx_version: int
    sm_count: int
    shared_kib: int


class FusedKernelError(Exception):
    """The fused kernels cannot be made; the message goes into the manifest."""


def write_kernels(layers: list[FusedLayer], gpu: Gpu, folder: Path) -> None:
    """Write ``shift_conv/`` in the plugins' folder: the sources and the compiled kernels.

    Raises ``FusedKernelError`` if the kernels cannot be compiled here, or for that GPU.
    """
    from importlib.resources import as_file, files

    compile_target = compile_target_of(gpu)
    header = _header(layers, compile_layers(layers, compile_target))
    target = folder / FOLDER
    target.mkdir(parents=True)
    with as_file(files("edgevid.kernels")) as kernels:
        for source in SOURCES:
            shutil.copyfile(kernels / FOLDER / source, target / source)
    (target / HEADER).write_text(header, "utf-8")


def compile_target_of(gpu: Gpu) -> CompileTarget:
    """The compile target of ``gpu``; ``FusedKernelError`` if it, or the PTX of its driver, is too old."""
    if gpu.sm < SM and not gpu.is_one_of_several:
        raise FusedKernelError(
            f"the fused kernels need a GPU of compute capability {SM / 10} or later; this one has {gpu}"
        )
    ptx_version = min(int(gpu.ptx.replace(".", "")), NEWEST_PTX)
    if ptx_version < OLDEST_PTX:
        raise FusedKernelError(
            f"the fused kernels need PTX {OLDEST_PTX / 10}, but the driver takes {gpu.ptx}"
        )
    return CompileTarget(ptx_version, gpu.sm_count, gpu.shared_kib)


def compile_layers(layers: list[FusedLayer], target: CompileTarget) -> list[dict[str, Any]]:
    """The kernels that ``triton_worker`` compiles for the layers; ``FusedKernelError`` if it fails."""
    if importlib.util.find_spec("triton") is None:
        raise FusedKernelError("Triton is not installed: pip install 'edgevid[triton]'")
    request = {
        "layers": [
            {**{name: value for name, value in asdict(layer).items() if name != "rows"}, "half_bias": True}
            for layer in layers
        ],
        "rows": [layer.rows for layer in layers],
        "sm": SM,
        "ptx_version": target.ptx_version,
        "gpu": {"sm_count": target.sm_count, "shared_bytes": target.shared_kib << 10},
    }
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_DISABLE_LINE_INFO"] = "1"
    try:
        process = subprocess.run(
            [sys.executable, "-m", WORKER],
            input=json.dumps(request), capture_output=True, text=True, timeout=LIMIT_S, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise FusedKernelError(f"Triton did not finish within {LIMIT_S} s") from None
    if process.returncode:
        last_line = (process.stderr.strip().splitlines() or [""])[-1]
        raise FusedKernelError(f"Triton exited with status {process.returncode}: {last_line}")
    return json.loads(process.stdout)


def _header(layers: list[FusedLayer], kernels: list[Mapping[str, Any]]) -> str:
    """The C++ header with the kernels that ``kernels/shift_conv/cuda.cuh`` includes."""
    entries = []
    for layer, kernel in zip(layers, kernels, strict=True):
        bounds = (-UNBOUNDED if layer.low is None else layer.low, layer.high or UNBOUNDED)
        numbers = [
            layer.channels, layer.outputs, layer.frames, layer.fold, layer.first, layer.second,
            *(f"{bound:e}f" for bound in bounds),
            kernel["rows"], kernel["outputs"], kernel["shared_bytes"], kernel["threads"],
            f'"{kernel["kernel"]}"',
        ]  # fmt: skip
        entries.append(f'    {{{", ".join(map(str, numbers))}, R"ptx(\n{kernel["ptx"]})ptx"}},\n')
    return (
        f"// Kernels for SM {SM} and later, compiled by Triton; fields as in cuda.cuh.\n"
        "#pragma once\n\nnamespace edgevid {\nnamespace cuda {\n\n"
        f"constexpr CompiledShiftConv kCompiled[] = {{\n{''.join(entries)}}};\n\n"
        "}  // namespace cuda\n}  // namespace edgevid\n"
    )

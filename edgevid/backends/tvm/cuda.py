"""Compile a network for a Jetson's GPU with TVM's convolutions and default schedules, to an arm64 library.

The library contains CUDA source, which TVM's CUDA runtime compiles when it is opened on the board. If nvcc is
installed here, it compiles the source as a check.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgevid.backends.tvm.importer.groups import attribute
from edgevid.backends.tvm.importer.importer import Importer, UnsupportedNodeError, constant, shape_of
from edgevid.errors import BackendError, first_line

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.tvm.toolchain import Device
    from edgevid.specs import Target

WARP = 32
"""Threads that a GPU runs in lockstep."""


def architecture_of(target: Target) -> str | None:
    """nvcc's name of a target's GPU, such as ``sm_87``; the oldest if there are several."""
    return f"sm_{target.gpu.sm}" if target.gpu else None


def import_for_gpu(graph: ir.Model):
    """The Relax module of ``graph`` (which is changed), with temporal ops in standard operators."""
    from edgevid.backends.tvm.importer.ops import check_operators, write_operator
    from edgevid.kernels.common.tvm.machine import Machine
    from edgevid.passes import LOWERING, run_passes
    from edgevid.passes.recurrent import unroll_recurrent

    run_passes(graph, (*LOWERING, unroll_recurrent))
    check_operators(graph.graph)
    overrides = {"Conv": _conv, "Gemm": _gemm, "MatMul": _matmul}

    def write(importer: Importer, node: ir.Node) -> None:
        write_operator(importer, node, overrides)

    return Importer(graph, Machine(1, 1)).build(write)


def compile_for_gpu(module, architecture: str, device: Device):
    """The executable for a GPU, with the processor of ``device`` as host."""
    import tvm
    from tvm import relax
    from tvm.s_tir import dlight

    from edgevid.backends.tvm.build import finish, simplify

    target = gpu_target(architecture, device)
    rules = dlight.gpu
    with target:
        module = tvm.transform.Sequential(
            [
                *simplify(),
                dlight.ApplyDefaultSchedule(
                    _tolerant(rules.Matmul()),
                    _tolerant(rules.GEMV()),
                    _tolerant(rules.Reduction()),
                    _tolerant(rules.GeneralReduction()),
                    rules.Fallback(),
                ),
            ]
        )(module)
    return relax.build(module, target, relax_pipeline=tvm.transform.Sequential(finish()))


def _tolerant(rule):
    """A schedule rule that leaves a function to the next rules if TVM's ``rule`` raises."""
    from tvm.s_tir.dlight.base import ScheduleRule

    class Tolerant(ScheduleRule):
        def apply(self, function, target, tunable):
            try:
                return rule.apply(function, target, tunable)
            except Exception:  # a failed check inside TVM, of no particular type
                return None

    return Tolerant()


def gpu_target(architecture: str, device: Device):
    """TVM's target of a GPU, with its host processor."""
    import tvm

    limits = {
        "max_threads_per_block": 1024,
        "max_shared_memory_per_block": 48 * 1024,
        "thread_warp_size": WARP,
    }
    return tvm.target.Target({"kind": "cuda", "arch": architecture, **limits}, host=device.target)


def cuda_sources(executable) -> Iterator[str]:
    """The CUDA source of each module inside an executable."""
    modules = [executable.mod]
    while modules:
        module = modules.pop()
        modules.extend(module.imports)
        if module.kind == "cuda":
            yield module.inspect_source()


def compile_sources(executable, architecture: str, device: Device) -> int | None:
    """The bytes of device code that nvcc compiles the sources to; None without an nvcc for the GPU.

    Raises ``BackendError`` if nvcc rejects them.
    """
    from tvm.support.nvcc import compile_cuda

    nvcc = shutil.which("nvcc")
    if nvcc is None or not _supports(nvcc, architecture):
        return None
    total = 0
    with gpu_target(architecture, device):
        for source in cuda_sources(executable):
            try:
                total += len(compile_cuda(source, "cubin", architecture, compiler="nvcc"))
            except RuntimeError as error:
                raise BackendError(
                    f"nvcc rejects TVM's code for {architecture}: {first_line(error)}"
                ) from error
    return total


def _supports(nvcc: str, architecture: str) -> bool:
    process = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=False)
    return architecture in process.stdout.split()


def _conv(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    attributes = node.attributes
    if len(shape_of(node.inputs[0])) != 4:
        raise UnsupportedNodeError("its input is not four-dimensional")
    weight = relax.const(constant(node.inputs[1]))
    result = relax.op.nn.conv2d(
        importer.first(node.inputs[0]),
        weight,
        strides=tuple(attribute(attributes, "strides", (1, 1))),
        padding=tuple(attribute(attributes, "pads", (0, 0, 0, 0))),
        dilation=tuple(attribute(attributes, "dilations", (1, 1))),
        groups=attribute(attributes, "group", 1),
    )
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = constant(node.inputs[2]).reshape(1, -1, 1, 1)
        result = relax.op.add(importer.emit(result), relax.const(bias))
    importer.set(node.outputs[0], result)


def _gemm(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    attributes = node.attributes
    if attribute(attributes, "transA", 0):
        raise UnsupportedNodeError("its input is transposed")
    weight = constant(node.inputs[1]) * np.float32(attribute(attributes, "alpha", 1.0))
    weight = weight.T if attribute(attributes, "transB", 0) else weight
    result = relax.op.matmul(importer.first(node.inputs[0]), relax.const(np.ascontiguousarray(weight)))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = constant(node.inputs[2]) * np.float32(attribute(attributes, "beta", 1.0))
        result = relax.op.add(importer.emit(result), relax.const(bias))
    importer.set(node.outputs[0], result)


def _matmul(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    importer.set(
        node.outputs[0], relax.op.matmul(importer.first(node.inputs[0]), importer.first(node.inputs[1]))
    )

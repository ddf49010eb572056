"""From a graph to a library: temporal ops into convolutions -> Relax -> schedules -> machine code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends.tvm.importer.frontend import refusal
from edgevid.backends.tvm.importer.groups import absorbed, find_groups
from edgevid.backends.tvm.importer.importer import Importer, is_constant
from edgevid.errors import ExportError
from edgevid.ops import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.tvm.toolchain import Device
    from edgevid.kernels.tvm.machine import Machine
    from edgevid.specs import PassReport


def import_graph(graph: ir.Model, machine: Machine):
    """The Relax module of ``graph`` (which is changed), the kernels it has, and what the passes did.

    Its function ``main`` takes the graph's inputs in order and gives a tuple of its outputs in order.
    """
    from edgevid.backends.tvm.importer.conv import write_group, write_next_state
    from edgevid.backends.tvm.importer.ops import check_operators, write_operator

    keep = absorbed(find_groups(graph.graph))
    lowered = [node.op_type for node in graph.graph if node.domain == DOMAIN and node not in keep]
    reports = _lower(graph, keep)
    groups = find_groups(graph.graph)  # with the convolutions that the lowering made
    inside = {node for group in groups.values() for node in _nodes(group)}
    check_operators(node for node in graph.graph if node not in groups and node not in inside)

    def write(importer: Importer, node: ir.Node) -> None:
        if node in groups:
            write_group(importer, groups[node])
        elif node in keep and len(node.outputs) > 1:
            write_next_state(importer, node)
        elif node not in inside:
            write_operator(importer, node)

    importer = Importer(graph, machine)
    module = importer.build(write)
    names = [*importer.taken.values()] + [f"{op_type} (standard operators, TVM)" for op_type in lowered]
    kernels = tuple(f"{name} x{count}" for name, count in sorted(Counter(names).items()))
    return module, kernels, reports


def _nodes(group) -> list[ir.Node]:
    """The nodes of a group but its last, which are written with it."""
    chain = [group.conv, group.reads]
    node = group.conv
    while node is not group.last:
        ((node, _),) = node.outputs[0].uses()
        chain.append(node)
    return [node for node in chain if node is not None and node is not group.last]


def _lower(graph: ir.Model, keep: Collection[ir.Node]) -> tuple[PassReport, ...]:
    """The temporal ops that no convolution absorbed, in standard operators; LSTM and its like unrolled."""
    from edgevid.passes import run_passes
    from edgevid.passes.lower import lowering
    from edgevid.passes.recurrent import unroll_recurrent

    return run_passes(graph, (*lowering(keep=keep), unroll_recurrent))


def compile_module(module, device: Device):
    """The executable of a module for ``device``."""
    import tvm

    from edgevid.kernels.tvm.schedule import schedule_all

    @tvm.transform.module_pass(opt_level=0)
    def schedule(module, _):
        return schedule_all(module, device.machine)

    passes = tvm.transform.Sequential([*simplify(), schedule, *finish()])
    return tvm.compile(module, tvm.target.Target(device.target), relax_pipeline=passes)


def blame(graph: ir.Model, device: Device, error: Exception) -> ExportError:
    """What to raise where TVM cannot compile ``graph``: it names the first layer that fails alone."""
    tried = set()
    for node in list(graph.graph):
        if node.domain or node.op_type in tried:
            continue
        tried.add(node.op_type)
        try:
            compile_module(import_graph(_alone(graph, node), device.machine)[0], device)
        except Exception as reason:  # TVM's errors have no common base
            return ExportError(refusal(node, reason))
    return ExportError(f"TVM cannot compile the network ({last_line(error)}): use --backend onnxruntime")


def _alone(graph: ir.Model, node: ir.Node) -> ir.Model:
    """A network of one node, with its constants."""
    import onnx_ir as ir

    copies, inputs = {}, []
    for value in node.inputs:
        if value is not None and value not in copies:
            copy = ir.Value(
                name=value.name, shape=value.shape, type=value.type, const_value=value.const_value
            )
            copies[value] = copy
            inputs += [] if is_constant(copy) else [copy]
    single = ir.Node(
        node.domain,
        node.op_type,
        [copies.get(value) for value in node.inputs],
        list(node.attributes.values()),
        num_outputs=len(node.outputs),
        name=node.name,
    )
    for result, known in zip(single.outputs, node.outputs):
        result.name, result.shape, result.type = known.name, known.shape, known.type
    constants = [copy for copy in copies.values() if is_constant(copy)]
    inner = ir.Graph(
        inputs,
        single.outputs[:1],
        nodes=[single],
        initializers=constants,
        opset_imports=graph.opset_imports,
        name=node.name or node.op_type,
    )
    return ir.Model(inner, ir_version=graph.ir_version)


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def simplify() -> list:
    """TVM's passes from operators to functions, neighbours fused."""
    from tvm.relax import backend, transform

    return [
        transform.DeadCodeElimination(),
        backend.DispatchSortScan(),  # running sums and sorting have no other form
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
        transform.FoldConstant(),
        transform.FuseOps(),
        transform.FuseTIR(),
    ]


def finish() -> list:
    """TVM's passes from functions that are scheduled to instructions, memory being planned."""
    from tvm.relax import transform

    return [
        transform.RewriteDataflowReshape(),
        transform.ToNonDataflow(),
        transform.RemovePurityChecking(),
        transform.CallTIRRewrite(),
        transform.StaticPlanBlockMemory(),
        transform.LowerAllocTensor(),
        transform.KillAfterLastUse(),
        transform.LowerRuntimeBuiltin(),
        transform.ComputePrimValue(),
        transform.VMShapeLower(),
        transform.AttachGlobalSymbol(),
    ]


def write_library(executable, device: Device, path: Path) -> None:
    """Link an executable to a shared library; ``BackendError`` if this machine cannot."""
    executable.export_library(str(path), fcompile=device.linker())

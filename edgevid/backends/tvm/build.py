"""Compile a graph to a library: absorb temporal ops into convolutions, import to Relax, schedule, link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends.tvm.importer.frontend import unsupported_message
from edgevid.backends.tvm.importer.groups import absorbed_ops, find_groups
from edgevid.backends.tvm.importer.importer import Importer, is_constant
from edgevid.errors import ExportError
from edgevid.ops import DOMAIN

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.tvm.toolchain import Device
    from edgevid.kernels.common.tvm.machine import Machine
    from edgevid.specs import PassReport


def import_graph(graph: ir.Model, machine: Machine):
    """The Relax module of ``graph`` (which is changed), its kernels, and the reports of the passes.

    Its function ``main`` takes the graph's inputs in order and returns a tuple of its outputs in order.
    """
    from edgevid.backends.tvm.importer.conv import write_group, write_next_state
    from edgevid.backends.tvm.importer.ops import check_operators, write_operator

    keep = absorbed_ops(find_groups(graph.graph))
    lowered_ops = [node.op_type for node in graph.graph if node.domain == DOMAIN and node not in keep]
    reports = _lower(graph, keep)
    groups = find_groups(graph.graph)  # with the convolutions that the lowering made
    inner_nodes = {node for group in groups.values() for node in _nodes(group)}
    check_operators(node for node in graph.graph if node not in groups and node not in inner_nodes)

    def write(importer: Importer, node: ir.Node) -> None:
        if node in groups:
            write_group(importer, groups[node])
        elif node in keep and len(node.outputs) > 1:
            write_next_state(importer, node)
        elif node not in inner_nodes:
            write_operator(importer, node)

    importer = Importer(graph, machine)
    module = importer.build(write)
    names = [*importer.op_kernels.values()] + [
        f"{op_type} (standard operators, TVM)" for op_type in lowered_ops
    ]
    kernels = tuple(f"{name} x{count}" for name, count in sorted(Counter(names).items()))
    return module, kernels, reports


def _nodes(group) -> list[ir.Node]:
    """The nodes of a group except the last, with which they are written."""
    chain = [group.conv, group.temporal_op]
    node = group.conv
    while node is not group.last:
        ((node, _),) = node.outputs[0].uses()
        chain.append(node)
    return [node for node in chain if node is not None and node is not group.last]


def _lower(graph: ir.Model, keep: Collection[ir.Node]) -> tuple[PassReport, ...]:
    """Lower temporal ops that no convolution absorbs to standard operators; unroll LSTM and the like."""
    from edgevid.passes import run_passes
    from edgevid.passes.lower import lowering
    from edgevid.passes.recurrent import unroll_recurrent

    return run_passes(graph, (*lowering(keep=keep), unroll_recurrent))


def compile_module(module, device: Device):
    """The executable of a module for ``device``."""
    import tvm

    from edgevid.kernels.common.tvm.schedule import schedule_all

    @tvm.transform.module_pass(opt_level=0)
    def schedule(module, _):
        return schedule_all(module, device.machine)

    passes = tvm.transform.Sequential([*simplify(), schedule, *finish()])
    return tvm.compile(module, tvm.target.Target(device.target), relax_pipeline=passes)


def layer_error(graph: ir.Model, device: Device, error: Exception) -> ExportError:
    """The error to raise if TVM cannot compile ``graph``: it names the first layer that fails on its own."""
    op_types = set()
    for node in list(graph.graph):
        if node.domain or node.op_type in op_types:
            continue
        op_types.add(node.op_type)
        try:
            compile_module(import_graph(_single_node_model(graph, node), device.machine)[0], device)
        except Exception as layer_failure:  # TVM's errors have no common base
            return ExportError(unsupported_message(node, layer_failure))
    return ExportError(f"TVM cannot compile the network ({last_line(error)}): use --backend onnxruntime")


def _single_node_model(graph: ir.Model, node: ir.Node) -> ir.Model:
    """A model of one node, with its constants."""
    import onnx_ir as ir

    copies, inputs = {}, []
    for value in node.inputs:
        if value is not None and value not in copies:
            copy = ir.Value(
                name=value.name, shape=value.shape, type=value.type, const_value=value.const_value
            )
            copies[value] = copy
            inputs += [] if is_constant(copy) else [copy]
    copy_node = ir.Node(
        node.domain,
        node.op_type,
        [copies.get(value) for value in node.inputs],
        list(node.attributes.values()),
        num_outputs=len(node.outputs),
        name=node.name,
    )
    for result, original in zip(copy_node.outputs, node.outputs):
        result.name, result.shape, result.type = original.name, original.shape, original.type
    constants = [copy for copy in copies.values() if is_constant(copy)]
    single_graph = ir.Graph(
        inputs,
        copy_node.outputs[:1],
        nodes=[copy_node],
        initializers=constants,
        opset_imports=graph.opset_imports,
        name=node.name or node.op_type,
    )
    return ir.Model(single_graph, ir_version=graph.ir_version)


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def simplify() -> list:
    """TVM's passes from operators to fused functions."""
    from tvm.relax import backend, transform

    return [
        transform.DeadCodeElimination(),
        backend.DispatchSortScan(),  # cumulative sums and sorting have no other lowering
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
        transform.FoldConstant(),
        transform.FuseOps(),
        transform.FuseTIR(),
    ]


def finish() -> list:
    """TVM's passes from scheduled functions to VM instructions, memory planning included."""
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
    """Link an executable to a shared library; ``BackendError`` if there is no linker."""
    executable.export_library(str(path), fcompile=device.linker())

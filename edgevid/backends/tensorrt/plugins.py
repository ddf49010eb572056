"""The network with its temporal ops as TensorRT plugins, and the sources that a device builds them from.

TensorRT's parser treats a node of an unknown type as a plugin of that name, with the version and the
namespace in the node's attributes ``plugin_version`` and ``plugin_namespace``, and passes it the integer
attributes. An op without a plugin is lowered to standard operators, as in the model without plugins.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid import ops
from edgevid.backends.tensorrt.shared_weights import save_with_weights, weights_of
from edgevid.errors import ParityError
from edgevid.parity import compare
from edgevid.specs import TOLERANCE, PassReport

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.protocol import Job

FOLDER = "plugin"
"""The folder of a bundle with the sources, and a Makefile that builds ``libedgevid_plugins.so``."""
VERSION, NAMESPACE = "1", "edgevid"
SOURCE = "tensorrt_plugin.cu"
"""The source of an op's plugin in its folder of ``kernels/``."""
COMMON_SOURCES = {
    "common/cuda": ("device.cuh",),
    "common/tensorrt": ("plugin.h", "plugin_v2.h", "plugin_v3.h", "README.md"),
}


@functools.cache
def ops_with_plugin() -> tuple[ops.TemporalOp, ...]:
    """The ops that ``kernels/`` has a plugin for."""
    kernels = files("edgevid.kernels")
    return tuple(op for op in ops.OPS.values() if (kernels / op.snake_name / SOURCE).is_file())


def write_plugins(folder: Path) -> Path:
    """Copy the files from which a device builds the plugins to ``folder/plugin``; returns that folder."""
    target = folder / FOLDER
    op_sources = {op.snake_name: ("cuda.cuh", SOURCE) for op in ops_with_plugin()}
    with as_file(files("edgevid.kernels")) as kernels:
        for name, sources in {**op_sources, **COMMON_SOURCES}.items():
            (target / name).mkdir(parents=True)
            for source in sources:
                shutil.copyfile(kernels / name / source, target / name / source)
        shutil.copyfile(kernels / "common/tensorrt/Makefile", target / "Makefile")
    return target


def to_plugin_nodes(graph: ir.Model) -> PassReport:
    """Rewrite ``graph`` in place to opset 13 with plugin nodes, which have no functions; counts them.

    ``graph`` has the ops of the domain ``edgevid`` with their functions, as the standard passes leave it.
    """
    from edgevid.passes.lower import lowering
    from edgevid.passes.to_opset_13 import to_opset_13

    nodes = plugin_nodes(graph)
    if not nodes:
        return PassReport("to_plugin_nodes", 0)
    for rewrite in lowering(keep=nodes):
        rewrite(graph)
    to_opset_13(graph)
    graph.functions.clear()
    graph.opset_imports[ops.DOMAIN] = 1
    for node in nodes:
        _name_plugin(node)
    return PassReport("to_plugin_nodes", len(nodes))


def plugin_nodes(graph: ir.Model) -> list[ir.Node]:
    """The nodes of ``graph`` whose ops have a plugin."""
    op_types = {op_type for op in ops_with_plugin() for op_type in op.op_types}
    return [node for node in graph.graph if node.domain == ops.DOMAIN and node.op_type in op_types]


def _name_plugin(node: ir.Node) -> None:
    import onnx_ir as ir

    inputs = list(node.inputs)
    while inputs and inputs[-1] is None:  # TensorRT counts an omitted input
        inputs.pop()
    node.resize_inputs(len(inputs))
    node.attributes["plugin_version"] = ir.AttrString("plugin_version", VERSION)
    node.attributes["plugin_namespace"] = ir.AttrString("plugin_namespace", NAMESPACE)


def without_plugins(graph: ir.Model) -> ir.Model:
    """A copy of ``graph`` with its plugin nodes lowered to standard operators, for any ONNX runtime.

    The ops' own functions have a later opset than the graph, so a runtime could not inline them.
    """
    from edgevid.passes import LOWERING
    from edgevid.passes.to_opset_13 import to_opset_13

    copy = graph.clone()
    for node in plugin_nodes(copy):
        for name in ("plugin_version", "plugin_namespace"):
            node.attributes.pop(name, None)
    for rewrite in (*LOWERING, to_opset_13):
        rewrite(copy)
    return copy


def write_plugin_models(graph: ir.Model, job: Job, folder: Path, precisions: Sequence[str]) -> list[str]:
    """Write ``model_<precision>.plugin.onnx`` for each precision, and ``plugin/``; returns ``not_run``
    sentences.

    Writes nothing if no op of ``graph`` has a plugin. Changes ``graph``. Raises ``ParityError`` if the model
    of ``job``'s precision, its plugins lowered, does not compute the expected outputs; a model of another
    precision is left out.
    """

    from edgevid.passes.to_fp16 import to_fp16

    if not to_plugin_nodes(graph).matched:
        return []
    not_run = ["the plugins: build.sh compiles them on the device and keeps the faster engine"]
    for precision in sorted(precisions, reverse=True):  # fp32 before fp16, which changes the graph
        if precision == "fp16":
            to_fp16(graph)
        file = f"model_{precision}.plugin.onnx"
        try:
            check(graph, job, precision)
        except ParityError as error:
            if precision == job.precision:
                raise
            not_run.append(f"{file}, left out: {error}")
            continue
        save_with_weights(graph, folder / file, weights_of(precision))
    write_plugins(folder)
    if "fp16" in precisions:
        not_run += write_fused_model(graph, job, folder)
    return not_run


def write_fused_model(graph: ir.Model, job: Job, folder: Path) -> list[str]:
    """Write ``model_fp16.fused.onnx``, with shifts in convolutions, and its kernels; returns ``not_run``
    sentences.

    ``graph`` is that of ``model_fp16.plugin.onnx``; it is changed.
    """

    from edgevid.backends.tensorrt.fused_plugins import FusedKernelError, write_kernels
    from edgevid.passes.fuse_shift_convs import fuse_shift_convs, unfused

    file = "model_fp16.fused.onnx"
    layers, report = fuse_shift_convs(graph)
    if not report.matched:
        return []
    try:
        check(unfused(graph, layers), job, "fp16")
        write_kernels(layers, job.target.gpu, folder / FOLDER)
    except (FusedKernelError, ParityError) as error:
        return [f"{file}, with shifts fused into convolutions, left out: {error}"]
    save_with_weights(graph, folder / file, weights_of("fp16"))
    return []


def check(graph: ir.Model, job: Job, precision: str) -> float:
    """Run ``graph`` without plugins in ONNX Runtime; the largest relative error against ``job``'s outputs.

    Measured by ``parity.compare``, states included; ``ParityError`` if it exceeds the tolerance.
    """
    import onnx_ir as ir
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = ir.to_proto(without_plugins(graph)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {name: np.asarray(array) for name, array in job.example.items()})
    parity = compare(dict(zip(names, outputs)), job.expected, TOLERANCE[precision])
    if not parity.ok:
        remedy = "use --precision fp32" if precision == "fp16" else "please report the network"
        raise ParityError(
            f"the {precision} model with plugins does not compute what PyTorch does: max|a-b| / max|b| = "
            f"{parity.max_rel:.2e}, tolerance {parity.tolerance:g}. Nothing was written; {remedy}"
        )
    return parity.max_rel

"""The network with its temporal ops as TensorRT plugins, and the sources that a device builds them from.

TensorRT's parser takes a node of an unknown type for a plugin of that name, with the version and the
namespace that the node's attributes ``plugin_version`` and ``plugin_namespace`` give, and hands over the
integer attributes. An op without a plugin is lowered to standard operators, as in the model without plugins.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid import ops
from edgevid.errors import ParityError
from edgevid.onnxfile.shared_weights import save_with_weights, weights_of
from edgevid.parity import compare
from edgevid.specs import TOLERANCE, PassReport

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.backends.protocol import Job

FOLDER = "plugin"
"""Of a bundle: the sources, and a Makefile that builds ``libedgevid_plugins.so``."""
VERSION, NAMESPACE = "1", "edgevid"
PLUGINS = frozenset({"TemporalShift", "TemporalShiftStep", "TemporalConv", "TemporalConvStep", "ChannelConv"})
SOURCE_FOLDERS = {
    "temporal_shift": ("cuda.cuh", "tensorrt_plugin.cu"),
    "temporal_conv": ("cuda.cuh", "tensorrt_plugin.cu"),
    "channel_conv": ("cuda.cuh", "tensorrt_plugin.cu"),
    "cuda": ("device.cuh",),
    "tensorrt": ("plugin.h", "plugin_v2.h", "plugin_v3.h", "README.md"),
}


def write_plugins(folder: Path) -> Path:
    """Copy what the device needs to build the plugins to ``folder/plugin``; gives that folder."""
    target = folder / FOLDER
    with as_file(files("edgevid.kernels")) as kernels:
        for name, sources in SOURCE_FOLDERS.items():
            (target / name).mkdir(parents=True)
            for source in sources:
                shutil.copyfile(kernels / name / source, target / name / source)
        shutil.copyfile(kernels / "tensorrt" / "Makefile", target / "Makefile")
    return target


def to_plugin_nodes(graph: ir.Model) -> PassReport:
    """Rewrite ``graph`` in place to opset 13 with plugin nodes, which carry no functions; counts them.

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
    """The nodes of ``graph`` that are, or can become, plugins."""
    return [node for node in graph.graph if node.domain == ops.DOMAIN and node.op_type in PLUGINS]


def _name_plugin(node: ir.Node) -> None:
    import onnx_ir as ir

    given = list(node.inputs)
    while given and given[-1] is None:  # TensorRT counts an input that is left out
        given.pop()
    node.resize_inputs(len(given))
    node.attributes["plugin_version"] = ir.AttrString("plugin_version", VERSION)
    node.attributes["plugin_namespace"] = ir.AttrString("plugin_namespace", NAMESPACE)


def without_plugins(graph: ir.Model) -> ir.Model:
    """A copy of a graph with plugin nodes that any ONNX runtime runs: what they say, in standard operators.

    Our functions for them are of a later opset than the graph, so that a runtime could not inline them.
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
    """``model_<precision>.plugin.onnx`` for each precision, and ``plugin/``; gives what was not tried.

    Nothing is written if no op of ``graph`` has a plugin. ``graph`` is changed. Raises ``ParityError`` if the
    nodes of the precision that ``job`` asks for, plugins included, do not say what computes the outputs that
    it expects; another precision is left out then.
    """

    from edgevid.passes.to_fp16 import to_fp16

    if not to_plugin_nodes(graph).matched:
        return []
    not_tried = ["the plugins, which build.sh compiles on the device, where the faster engine is kept"]
    for precision in sorted(precisions, reverse=True):  # fp32 before fp16, which changes the graph
        if precision == "fp16":
            to_fp16(graph)
        file = f"model_{precision}.plugin.onnx"
        try:
            check(graph, job, precision)
        except ParityError as error:
            if precision == job.precision:
                raise
            not_tried.append(f"{file}, left out: {error}")
            continue
        save_with_weights(graph, folder / file, weights_of(precision))
    write_plugins(folder)
    if "fp16" in precisions:
        not_tried += write_fused_model(graph, job, folder)
    return not_tried


def write_fused_model(graph: ir.Model, job: Job, folder: Path) -> list[str]:
    """``model_fp16.fused.onnx``, shifts inside convolutions, and its kernels; gives what was not tried.

    ``graph`` is that of ``model_fp16.plugin.onnx``, and is changed.
    """

    from edgevid.backends.tensorrt.fused_plugins import CannotFuse, write_kernels
    from edgevid.passes.fuse_shift_convs import fuse_shift_convs, unfused

    file = "model_fp16.fused.onnx"
    layers, report = fuse_shift_convs(graph)
    if not report.matched:
        return []
    try:
        check(unfused(graph, layers), job, "fp16")
        write_kernels(layers, job.target.gpu, folder / FOLDER)
    except (CannotFuse, ParityError) as reason:
        return [f"{file}, shifts inside convolutions, left out: {reason}"]
    save_with_weights(graph, folder / file, weights_of("fp16"))
    return []


def check(graph: ir.Model, job: Job, precision: str) -> float:
    """The distance of ``graph``, run in ONNX Runtime by ``without_plugins``, from what ``job`` expects.

    It is that of ``parity.compare``, states included; ``ParityError`` if it is beyond the tolerance.
    """
    import onnx_ir as ir
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = ir.to_proto(without_plugins(graph)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    result = session.run(names, {name: np.asarray(array) for name, array in job.example.items()})
    measured = compare(dict(zip(names, result)), job.expected, TOLERANCE[precision])
    if not measured.ok:
        mend = "use --precision fp32" if precision == "fp16" else "please report the network"
        raise ParityError(
            f"the {precision} model with plugins does not compute what PyTorch does: max|a-b| / max|b| = "
            f"{measured.max_rel:.2e}, tolerance {measured.tolerance:g}. Nothing was written; {mend}"
        )
    return measured.max_rel

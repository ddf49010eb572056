"""From a torch module to a graph: ONNX IR in which each temporal op is one node of the ``edgevid`` domain.

The only place where torch meets the IR. ``torch.export`` fixes the shapes; the ONNX exporter translates
standard operators, and each temporal op becomes a node with a model-local function, its body in standard
operators: a plain runtime inlines it, a runtime with edgevid's kernels runs the kernel.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import NameFixPass
from onnxscript.values import Op, Opset

from edgevid import ops
from edgevid.errors import ExportError
from edgevid.exporter import recurrent
from edgevid.exporter.decompositions import decompose, untranslated
from edgevid.exporter.free_shapes import LayerWatch
from edgevid.ops.functions import FRAMES, FRAMES_INPUT, attach_functions, function_protos, of_free_frames
from edgevid.passes.complete_shapes import complete_shapes
from edgevid.passes.layer_names import keep_layer_names, layer_of


def trace(
    model: torch.nn.Module,
    example: torch.Tensor,
    input_name: str = "clip",
    output_names: Sequence[str] = ("logits",),
    free: Mapping[int, str] | None = None,
) -> ir.Model:
    """The graph of ``model(example)``, with static shapes except along the ``free`` axes of the example.

    ``free`` names those axes; an axis along which the network accepts only one size stays static.

    ``model`` must be in evaluation mode and return a tensor or a dict of them; ``output_names`` names them in
    order. Raises ``ExportError`` with the first line of torch's message if it cannot be traced.
    """
    recurrent.refuse_projections(model)
    with _quiet(), LayerWatch(model) as watch:
        try:
            axes = (dict.fromkeys(free, torch.export.Dim.AUTO),) if free else None
            exported = torch.export.export(model, (example,), strict=False, dynamic_shapes=axes)
        except Exception as error:  # torch raises many kinds here, and each means that the trace failed
            raise ExportError(
                f"torch could not trace the network, at {watch.failed_layer(error)}: {_innermost(error)}. "
                "Its forward must not branch on values; try torch.export.export on it alone"
            ) from error
        try:
            program = torch.onnx.export(
                decompose(exported),
                dynamo=True,
                verbose=False,
                optimize=False,
                opset_version=ops.OPSET_VERSION,
                input_names=[input_name],
                output_names=list(output_names),
                custom_translation_table=_translations(),
            )
        except Exception as error:  # the exporter, too, raises many kinds
            raise ExportError(
                untranslated(exported, error)
                or f"torch could not convert the network to ONNX: {_innermost(error)}. "
                "Try torch.onnx.export(..., dynamo=True) on it alone"
            ) from error
    graph = program.model
    NameFixPass()(graph)  # the exporter gives an indexing's result the name of a buffer called index
    keep_layer_names(graph)
    _name_temporal_ops(graph)
    _drop_debug_information(graph)
    complete_shapes(graph)
    _name_free_axes(graph, free or {})
    attach_functions(graph)
    return graph


def _name_free_axes(graph: ir.Model, free: Mapping[int, str]) -> None:
    """Replace torch's symbol for each free axis by its name in every shape."""
    shape = graph.graph.inputs[0].shape
    names = {str(shape[axis]): name for axis, name in free.items() if not isinstance(shape[axis], int)}
    if not names:
        return
    symbol = re.compile(r"\b(" + "|".join(names) + r")\b")
    values = [*graph.graph.inputs, *(value for node in graph.graph for value in node.outputs)]
    for value in values:
        if value.shape is not None:
            value.shape = ir.Shape(
                size if isinstance(size, int) else symbol.sub(lambda match: names[match[1]], str(size))
                for size in value.shape
            )


def _name_temporal_ops(graph: ir.Model) -> None:
    """Name each temporal op after its module: ``backbone.layer1.0.shift``."""
    counts: dict[str, int] = {}
    for node in graph.graph:
        if node.domain == ops.DOMAIN:
            name = layer_of(node) or node.op_type
            counts[name] = counts.get(name, 0) + 1
            node.name = name if counts[name] == 1 else f"{name}.{counts[name]}"


@functools.cache
def _translations() -> dict:
    """The exporter's translation table: torch op to a function that emits its node."""
    opset, table = Opset(ops.DOMAIN, 1), recurrent.translations()
    for name in ops.OPS:
        protos = function_protos(name)
        free = of_free_frames(protos[0])
        for function in [*protos, free] if free else protos:
            _register_schema(function)
        torch_op = ops.OPS[name].torch_op().default
        free_op = getattr(opset, free.name) if free else None
        table[torch_op] = functools.partial(_emit, getattr(opset, name), free_op, torch_op._schema.arguments)
    return table


def _emit(
    op: Op, free_op: Op | None, parameters: list[torch.Argument], *values: object, **keywords: object
) -> ir.Value:
    """A node with the torch op's tensors as inputs and its numbers as attributes.

    A computed number of frames, for clips of any length, is an input of ``free_op``.
    """
    arguments = dict(zip([parameter.name for parameter in parameters], values)) | keywords
    tensors = [parameter.name for parameter in parameters if "Tensor" in str(parameter.type)]
    inputs = [arguments.pop(name) for name in tensors]
    if isinstance(arguments.get(FRAMES), ir.Value):
        inputs.append(arguments.pop(FRAMES))
        op = free_op
    while inputs[-1] is None:
        inputs.pop()
    return op(*inputs, **{name: int(number) for name, number in arguments.items()})


def _register_schema(function: onnx.FunctionProto) -> None:
    """Register the signature with onnx; the exporter does not emit nodes without one."""
    parameter, option = onnx.defs.OpSchema.FormalParameter, onnx.defs.OpSchema.FormalParameterOption
    onnx.defs.register_schema(
        onnx.defs.OpSchema(
            function.name,
            function.domain,
            1,
            inputs=[
                parameter(
                    name,
                    "tensor(int64)" if name == FRAMES_INPUT else "T",
                    param_option=option.Optional if name in ops.OPTIONAL_INPUTS else option.Single,
                )
                for name in function.input
            ],
            outputs=[parameter(name, "T") for name in function.output],
            type_constraints=[("T", ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"], "")],
            attributes=[
                onnx.defs.OpSchema.Attribute(name, onnx.defs.OpSchema.AttrType.INT, required=True)
                for name in function.attribute
            ],
        )
    )


def _drop_debug_information(graph: ir.Model) -> None:
    """Remove source paths and stack traces of this machine from a graph that is copied to others."""
    graph.metadata_props.clear()
    graph.graph.metadata_props.clear()
    graph.doc_string = graph.graph.doc_string = None
    for node in graph.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in (*node.outputs, *node.inputs):
            if value is not None:
                value.metadata_props.clear()
    for value in (*graph.graph.inputs, *graph.graph.initializers.values()):
        value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter: it reports progress on stdout and warns of packages that edgevid does not use.

    Nor does it collect a stack trace for each node: none is kept.
    """
    logger = logging.getLogger("torch.onnx")
    level, untraced = logger.level, getattr(torch.fx.config, "do_not_emit_stack_traces", False)
    logger.setLevel(logging.ERROR)
    torch.fx.config.do_not_emit_stack_traces = True
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        torch.fx.config.do_not_emit_stack_traces = untraced


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__

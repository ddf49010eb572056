"""From a torch module to a graph: ONNX IR in which each temporal op is one node of the ``edgevid`` domain.

The only place where torch meets the IR. ``torch.export`` fixes the shapes; the ONNX exporter translates
ordinary operators, and each temporal op becomes a node whose meaning, in standard operators, travels along as
a model-local function: a plain runtime inlines it, a runtime with our kernels runs the kernel.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence

import onnx
import onnx_ir as ir
import torch
from onnxscript.values import Op, Opset

from edgevid import ops, recurrent
from edgevid.errors import ExportError
from edgevid.ops.functions import attach_functions, function_protos
from edgevid.passes.complete_shapes import complete_shapes
from edgevid.passes.layer_names import keep_layer_names, layer_of


def trace(
    model: torch.nn.Module,
    example: torch.Tensor,
    input_name: str = "clip",
    output_names: Sequence[str] = ("logits",),
    free: Mapping[int, torch.export.Dim] | None = None,
) -> ir.Model:
    """The graph of ``model(example)``, whose shapes are static but for the ``free`` axes of the example.

    ``model`` must be in evaluation mode; ``output_names`` are, in order, of what it returns, be that one
    tensor or several in a dict. Raises ``ExportError`` with torch's first sentence if it cannot be traced.
    """
    recurrent.refuse_projections(model)
    with _quiet():
        try:
            exported = torch.export.export(
                model, (example,), strict=False, dynamic_shapes=(dict(free),) if free else None
            )
            program = torch.onnx.export(
                exported,
                dynamo=True,
                verbose=False,
                optimize=False,
                opset_version=ops.OPSET_VERSION,
                input_names=[input_name],
                output_names=list(output_names),
                custom_translation_table=_translations(),
            )
        except Exception as error:  # torch raises many kinds here; all mean that the module cannot be traced
            raise ExportError(
                f"torch could not trace the network: {_innermost(error)}. "
                "Its forward must not branch on values; try torch.export.export on it alone"
            ) from error
    graph = program.model
    keep_layer_names(graph)
    _name_temporal_ops(graph)
    _drop_debug_information(graph)
    complete_shapes(graph)
    attach_functions(graph)
    return graph


def _name_temporal_ops(graph: ir.Model) -> None:
    """Call each temporal op by the module that it stands in: ``backbone.layer1.0.shift``."""
    counts: dict[str, int] = {}
    for node in graph.graph:
        if node.domain == ops.DOMAIN:
            name = layer_of(node) or node.op_type
            counts[name] = counts.get(name, 0) + 1
            node.name = name if counts[name] == 1 else f"{name}.{counts[name]}"


@functools.cache
def _translations() -> dict:
    """The exporter's table: torch op to a function that emits our node."""
    opset, table = Opset(ops.DOMAIN, 1), recurrent.translations()
    for name in ops.MODULES:
        for function in function_protos(name):
            _register_schema(function)
        torch_op = ops.module_of(name).torch_op().default
        table[torch_op] = functools.partial(_emit, getattr(opset, name), torch_op._schema.arguments)
    return table


def _emit(op: Op, parameters: list[torch.Argument], *values: object, **named: object) -> ir.Value:
    """A node: of the torch op's arguments the tensors are its inputs, and the numbers its attributes."""
    given = dict(zip([parameter.name for parameter in parameters], values)) | named
    tensors = [parameter.name for parameter in parameters if "Tensor" in str(parameter.type)]
    inputs = [given.pop(name) for name in tensors]
    while inputs[-1] is None:
        inputs.pop()
    return op(*inputs, **{name: int(number) for name, number in given.items()})


def _register_schema(function: onnx.FunctionProto) -> None:
    """Tell onnx the signature, without which the exporter refuses to emit the node."""
    parameter, option = onnx.defs.OpSchema.FormalParameter, onnx.defs.OpSchema.FormalParameterOption
    onnx.defs.register_schema(
        onnx.defs.OpSchema(
            function.name,
            function.domain,
            1,
            inputs=[
                parameter(
                    name, "T", param_option=option.Optional if name in ops.OPTIONAL_INPUTS else option.Single
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
    """Source paths and stack traces of this machine have no place in a file that travels."""
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
    """The exporter reports progress on stdout and warns of packages that we do not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__

"""A model that computes the per-layer error of a quantized graph: both graphs in one, float32 and int8.

Q(x') -> Q(x): each QuantizeLinear of the quantized graph reads its tensor from the float graph, so that each
layer gets exact inputs. The error of a layer is then its own, whatever the depth and the weights of the
network; at the outputs, amplified rounding errors look like a wrong scale.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, version_converter

PREFIX = "quantised/"
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
QUANTIZABLE_OPS = ("Conv", "Gemm", "MatMul")


def comparison_model(
    float_model: onnx.ModelProto, quantized: onnx.ModelProto
) -> tuple[onnx.ModelProto, list[str]]:
    """The comparison model and the names of the int8 layers, which are those of their outputs.

    The model has two outputs for each layer, sums of squares: ``NAME/error`` of the difference and
    ``NAME/float`` of the float output. ``quantized`` must have the tensor names of ``float_model``; it may
    have another opset, and fp16 where it is not int8.
    """
    both, quantized = _of_one_opset(float_model, quantized)
    graph = both.graph
    half = {tensor.name for tensor in quantized.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    float_names = {name for node in graph.node for name in node.output} | {
        value.name for value in graph.input
    }
    inputs = {value.name for value in quantized.graph.input}
    weights = {tensor.name for tensor in quantized.graph.initializer}
    in_int8 = {node.output[0] for node in quantized.graph.node if node.op_type == DEQUANTIZE}
    for tensor in quantized.graph.initializer:
        graph.initializer.add().CopyFrom(tensor)
        graph.initializer[-1].name = PREFIX + tensor.name
    compared, pieces, needed_names, cast_names = [], [], set(), set()
    for node in reversed(quantized.graph.node):
        if node.op_type in QUANTIZABLE_OPS and node.input[1] in in_int8 and node.output[0] in float_names:
            compared.append(node.output[0])
        elif not needed_names.intersection(node.output):
            continue
        # A QuantizeLinear reads from the float graph, so its producer in the quantized graph is dead.
        from_float = (
            node.op_type == QUANTIZE and node.input[0] in float_names and node.input[0] not in weights
        )
        needed_names.update(node.input[1:] if from_float else node.input)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = PREFIX + node.name
        names = [name if name in inputs or not name else PREFIX + name for name in node.input]
        if from_float:
            names[0] = node.input[0]
            if node.input[1] in half:
                names[0] = f"{PREFIX}half/{node.input[0]}"
                cast_names.add(node.input[0])
        copy.input[:] = names
        copy.output[:] = [PREFIX + name for name in node.output]
        pieces.append(copy)
    for name in sorted(cast_names):
        _add(graph, "Cast", [name], f"{PREFIX}half/{name}", to=TensorProto.FLOAT16)
    graph.node.extend(reversed(pieces))
    del graph.output[:]
    for name in compared:
        _add(graph, "Cast", [PREFIX + name], f"{PREFIX}{name}/float32", to=TensorProto.FLOAT)
        _add(graph, "Sub", [f"{PREFIX}{name}/float32", name], f"{name}/difference")
        for source, result in ((f"{name}/difference", f"{name}/error"), (name, f"{name}/float")):
            _add(graph, "ReduceSumSquare", [source], result, keepdims=0)
            graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, ()))
    return both, compared


def _add(graph: onnx.GraphProto, op_type: str, inputs: list[str], output: str, **attributes: int) -> None:
    graph.node.add().CopyFrom(helper.make_node(op_type, inputs, [output], **attributes))


def _of_one_opset(
    float_model: onnx.ModelProto, quantized: onnx.ModelProto
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Copies of both models, converted to the newer of their opsets."""
    versions = [_opset(model) for model in (float_model, quantized)]
    both = onnx.ModelProto()
    both.CopyFrom(float_model)
    if versions[1] < versions[0]:
        quantized = version_converter.convert_version(quantized, versions[0])
    elif versions[1] > versions[0]:
        # Of the operators in exported graphs, only Q and DQ differ: from opset 19 on they accept fp16.
        for holder in (both, *both.functions):
            for entry in holder.opset_import:
                if not entry.domain:
                    entry.version = versions[1]
    return both, quantized


def _opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if not entry.domain)

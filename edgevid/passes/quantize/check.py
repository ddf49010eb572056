"""Two graphs in one: every piece of a quantised graph between two quantisations, beside the same in float32.

Q(x') -> Q(x): what the quantised graph would quantise is taken from the float graph, so that each piece gets
exact inputs. How far its products are from the float ones is then an error of that piece alone, whatever the
depth and the weights of the network; at the outputs, rounding that was amplified on the way and a scale that
is wrong look alike.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, version_converter

PREFIX = "quantised/"
QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
PRODUCTS = ("Conv", "Gemm", "MatMul")


def beside_float(
    float_model: onnx.ModelProto, quantised: onnx.ModelProto
) -> tuple[onnx.ModelProto, list[str]]:
    """A model with the outputs of neither but, for each product in int8 by name, two sums of squares.

    They are ``NAME/error``, of the difference, and ``NAME/float``, of the float result. The names are given,
    too. ``quantised`` must have been made of ``float_model`` with the names of its tensors kept; it may be of
    another opset, and of fp16 where it is not int8.
    """
    both, quantised = _of_one_opset(float_model, quantised)
    graph = both.graph
    half = {tensor.name for tensor in quantised.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    known = {name for node in graph.node for name in node.output} | {value.name for value in graph.input}
    inputs = {value.name for value in quantised.graph.input}
    weights = {tensor.name for tensor in quantised.graph.initializer}
    in_int8 = {node.output[0] for node in quantised.graph.node if node.op_type == DEQUANTISE}
    for tensor in quantised.graph.initializer:
        graph.initializer.add().CopyFrom(tensor)
        graph.initializer[-1].name = PREFIX + tensor.name
    compared, pieces, needed, halved = [], [], set(), set()
    for node in reversed(quantised.graph.node):
        if node.op_type in PRODUCTS and node.input[1] in in_int8 and node.output[0] in known:
            compared.append(node.output[0])
        elif not needed.intersection(node.output):
            continue
        # What is quantised is taken from the float graph, so what computed it is not needed.
        from_float = node.op_type == QUANTISE and node.input[0] in known and node.input[0] not in weights
        needed.update(node.input[1:] if from_float else node.input)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = PREFIX + node.name
        names = [name if name in inputs or not name else PREFIX + name for name in node.input]
        if from_float:
            names[0] = node.input[0]
            if node.input[1] in half:
                names[0] = f"{PREFIX}half/{node.input[0]}"
                halved.add(node.input[0])
        copy.input[:] = names
        copy.output[:] = [PREFIX + name for name in node.output]
        pieces.append(copy)
    for name in sorted(halved):
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
    float_model: onnx.ModelProto, quantised: onnx.ModelProto
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Copies of both in the newer of their opsets."""
    versions = [_opset(model) for model in (float_model, quantised)]
    both = onnx.ModelProto()
    both.CopyFrom(float_model)
    if versions[1] < versions[0]:
        quantised = version_converter.convert_version(quantised, versions[0])
    elif versions[1] > versions[0]:
        # Of what a graph of ours has, only Q and DQ differ between 18 and 19: these take fp16 from 19 on.
        for holder in (both, *both.functions):
            for entry in holder.opset_import:
                if not entry.domain:
                    entry.version = versions[1]
    return both, quantised


def _opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if not entry.domain)

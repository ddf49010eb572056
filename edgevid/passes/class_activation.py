"""logits = mean over t, y, x of (W f + b)  ->  the same, and the maps W f (Zhou et al., 2016).

The classifier of most networks is linear and reads the mean of a feature map ``f`` over frames and positions.
As a 1x1 convolution on ``f`` it says what each position adds to each class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid.errors import ExportError
from edgevid.passes.build import Builder
from edgevid.passes.layer_names import describe, layer_of
from edgevid.specs import LOGITS
from edgevid.specs.explanation import MAPS

AVERAGES_AND_SHAPES = (
    "AveragePool", "Flatten", "GlobalAveragePool", "Identity", "ReduceMean", "Reshape", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip
"""What may lie between the feature map and the logits besides the classifier."""

VOLUME, FRAME_BATCH = 5, 4


@dataclass(frozen=True)
class Classifier:
    """What follows the last feature map, float32 ``(frames, C, h, w)`` or ``(1, C, frames, h, w)``.

    ``weight`` is ``(classes, C)`` and ``bias`` ``(classes,)``; without a ``weight`` the map's channels are
    the classes. ``layer`` is the network's layer that computes the map, empty outside of layers.
    """

    features: ir.Value
    weight: np.ndarray | None
    bias: np.ndarray
    layer: str

    def maps_of(self, features: np.ndarray) -> np.ndarray:
        """The class activation maps of ``features``: ``(frames, classes, h, w)``."""
        if features.ndim == VOLUME:
            features = features[0].swapaxes(0, 1)
        return features if self.weight is None else np.einsum("kc,tchw->tkhw", self.weight, features)


def find_classifier(graph: ir.Model) -> Classifier:
    """Raises ``ExportError`` where the logits are no linear function of the mean of a feature map."""
    value = next((output for output in graph.graph.outputs if output.name == LOGITS), None)
    if value is None:
        raise _undefined("it has no logits")
    classes = value.shape.numpy()[-1]
    weight, bias = None, np.zeros(classes, np.float32)
    while (node := value.producer()) is not None:
        constants = [_constant(operand) for operand in node.inputs]
        if node.op_type in AVERAGES_AND_SHAPES:
            value = node.inputs[0]
        elif node.op_type == "Add" and weight is None and (added := _row(constants, classes)) is not None:
            bias, value = bias + added, node.inputs[0 if constants[0] is None else 1]
        elif weight is None and (linear := _linear(node, constants)):
            weight, value = linear[0], node.inputs[0]
            bias = bias + linear[1]
        else:
            break
    if node is None:
        raise _undefined("its logits are a linear function of the pixels")
    shape = value.shape.numpy() if value.shape is not None and value.shape.is_static() else ()
    channels = classes if weight is None else weight.shape[1]
    is_map = len(shape) in (FRAME_BATCH, VOLUME) and shape[1] == channels
    is_point = is_map and shape[-1] * shape[-2] == 1
    # What another pooling than the mean leaves of a map is a point too.
    if not is_map or (is_point and node.op_type.endswith("Pool")):
        raise _undefined(f"its classifier does not read the mean of the output of {describe(node)}")
    if is_point:
        seen = f"its last feature map, the output of {describe(node)}, is 1x1"
        raise _undefined(seen, "export with a larger --size, or ")
    return Classifier(value, weight, bias, layer_of(node))


def add_maps(graph: ir.Model) -> None:
    """Add the output ``MAPS``."""
    classifier = find_classifier(graph)
    value, weight = classifier.features, classifier.weight
    last = next(output for output in graph.graph.outputs if output.name == LOGITS).producer()
    build = Builder(graph.graph, last, MAPS)
    if len(shape := value.shape.numpy()) == VOLUME:
        shape = (shape[2], shape[1], *shape[3:])
        value = build.node("Transpose", [value], (1, *shape), value.type, perm=[0, 2, 1, 3, 4])
        value = build.node("Reshape", [value, build.ints(shape)], shape, value.type)
    if weight is None:
        maps = build.node("Identity", [value], shape, value.type)
    else:
        kernel = build.constant(weight[:, :, None, None])
        maps = build.node("Conv", [value, kernel], (shape[0], len(weight), *shape[2:]), value.type)
    maps.name = MAPS
    graph.graph.outputs.append(maps)


def _linear(node: ir.Node, constants: list[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray] | None:
    """Weight ``(classes, C)`` and bias of a linear layer on the mean; None for any other node."""
    weight = constants[1] if len(constants) > 1 else None
    zero = np.zeros(1, np.float32)
    bias = zero if len(constants) < 3 or constants[2] is None else constants[2].reshape(-1)
    if weight is None or constants[0] is not None:
        return None
    if node.op_type == "MatMul" and weight.ndim == 2:
        return weight.T, zero
    if node.op_type == "Gemm" and not node.attributes.get_int("transA", 0):
        weight = weight if node.attributes.get_int("transB", 0) else weight.T
        alpha, beta = (np.float32(node.attributes.get_float(name, 1.0)) for name in ("alpha", "beta"))
        return alpha * weight, beta * bias
    after_mean = node.inputs[0].shape is not None and tuple(node.inputs[0].shape)[2:] in ((1, 1), (1, 1, 1))
    if node.op_type == "Conv" and after_mean and node.attributes.get_int("group", 1) == 1:
        return weight.reshape(len(weight), -1), bias
    return None


def _constant(value: ir.Value | None) -> np.ndarray | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _row(constants: list[np.ndarray | None], classes: int) -> np.ndarray | None:
    """The constant operand with a number for each class, if there is one."""
    return next((a.reshape(-1) for a in constants if a is not None and a.size == classes), None)


def _undefined(reason: str, instead: str = "") -> ExportError:
    return ExportError(
        f"this network has no class activation maps, as {reason}: {instead}leave out --explain, and use "
        "Grad-CAM (edgevid explain BUNDLE --weights FILE --layer NAME)"
    )

"""Operators that compute each frame separately, unless they run along the time axis."""

from __future__ import annotations

from collections.abc import Callable

from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.timeline import NotStreamableError

ATTENTION = (
    "compares every frame with every other (attention), so a stream would have to keep its whole past: "
    "attend within a frame, or replace it by causal convolutions or a recurrent layer"
)


def elementwise(step: Step) -> None:
    step.align()


def identity_of_mean(step: Step) -> None:
    """A division of a cumulative sum by the frame count is done in its state (see ``running_rules``)."""
    if step.node in step.walk.means:
        x, timeline = step.node.inputs[0], step.timelines[0]
        step.replace_node(step.node_of("Identity", [x], x.shape.numpy()), timeline)
    else:
        step.align()


def reduce(step: Step) -> None:
    timeline, rank = step.only, len(step.shape())
    axes = step.ints(1, "axes")
    if axes is None and step.node.attributes.get_int("noop_with_empty_axes", 0):
        step.keep_node(timeline)
        return
    axes = {axis % rank for axis in axes} if axes else set(range(rank))
    if timeline.axis in axes:
        raise NotStreamableError(f"{REDUCTIONS[step.node.op_type]} all frames of the clip")
    keep = step.node.attributes.get_int("keepdims", 1)
    step.keep_node(timeline if keep else timeline.at(timeline.axis - sum(a < timeline.axis for a in axes)))


def along_axis(reason: str, default: int = -1) -> Callable[[Step], None]:
    """A rule for operators with an ``axis``; ``reason`` is the refusal if that is the time axis."""

    def rule(step: Step) -> None:
        timeline = step.only
        axis = step.node.attributes.get_int("axis", default) % len(step.shape())
        if axis == timeline.axis:
            raise NotStreamableError(reason)
        drops = step.node.op_type.startswith("Arg") and not step.node.attributes.get_int("keepdims", 1)
        step.keep_node(timeline.at(timeline.axis - 1) if drops and axis < timeline.axis else timeline)

    return rule


def layer_norm(step: Step) -> None:
    timeline, rank = step.only, len(step.shape())
    if timeline.axis >= step.node.attributes.get_int("axis", -1) % rank:
        raise NotStreamableError("normalizes over all frames of the clip")
    step.keep_node(timeline)


def by_channel(step: Step) -> None:
    """Batch normalization, with fixed parameters for each channel."""
    if step.only.axis == 1 and len(step.shape()) > 1:
        raise NotStreamableError("treats frames as channels")
    step.keep_node(step.only)


def matmul(step: Step) -> None:
    ranks = [len(step.shape(0)), len(step.shape(1))]
    if min(ranks) < 2:
        raise NotStreamableError("multiplies vectors, whose axis may be time")
    a, b = step.timelines[:2]
    summed = (a is not None and a.axis == ranks[0] - 1) or (b is not None and b.axis == ranks[1] - 2)
    if summed:
        raise NotStreamableError(ATTENTION if a and b else "mixes all frames of the clip by a matrix")
    if a is not None and b is not None:
        own = (a.axis == ranks[0] - 2) or (b.axis == ranks[1] - 1)
        if own or a.axis - ranks[0] != b.axis - ranks[1]:
            raise NotStreamableError(ATTENTION)
    step.align(rows=2)


def gemm(step: Step) -> None:
    timeline = step.only
    transposed = step.node.attributes.get_int("transA", 0)
    if timeline.axis == (0 if transposed else 1):
        raise NotStreamableError("mixes all frames of the clip by a matrix")
    if len(step.node.inputs) > 2 and step.node.inputs[2] is not None:
        step.fixed(2, timeline.at(0), 2)
    step.keep_node(timeline.at(0))


def einsum(step: Step) -> None:
    """The time axis must have the same letter in all operands and in the result."""
    equation = step.node.attributes["equation"].as_string().replace(" ", "")
    terms, _, result = equation.partition("->")
    streamed = [(term, timeline) for term, timeline in zip(terms.split(","), step.timelines) if timeline]
    if "." in equation or not result or any(t.outer * t.inner != 1 for _, t in streamed):
        raise NotStreamableError("combines frames in a way that edgevid cannot run frame by frame")
    letters = {term[timeline.axis] for term, timeline in streamed}
    letter = min(letters)
    if len(letters) > 1:
        raise NotStreamableError(ATTENTION)
    fixed = [term for term, timeline in zip(terms.split(","), step.timelines) if timeline is None]
    if letter not in result or any(letter in term for term in fixed):
        raise NotStreamableError("sums over all frames of the clip, or weights each by its position")
    if len({timeline.lead for _, timeline in streamed}) > 1:
        raise NotStreamableError("multiplies frames of different times")
    step.keep_node(streamed[0][1].at(result.index(letter)))


def batchwise(step: Step) -> None:
    """Operators that treat each entry of the first axis separately."""
    if step.only.axis != 0 or step.result_shape()[0] != step.shape()[0]:
        raise NotStreamableError("combines frames in a way that edgevid cannot run frame by frame")
    step.keep_node(step.only)


def normalize_planes(step: Step) -> None:
    if step.only.axis != 0:
        raise NotStreamableError("normalizes over all frames of the clip")
    step.keep_node(step.only)


def pool_everything(step: Step) -> None:
    if step.only.axis > 1:
        raise NotStreamableError("pools all frames of the clip")
    step.keep_node(step.only)


REDUCTIONS = {
    "ReduceMean": "takes the mean over",
    "ReduceMax": "takes the maximum over",
    "ReduceMin": "takes the minimum over",
    **dict.fromkeys(("ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2"), "sums over"),
    **dict.fromkeys(("ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), "sums over"),
}
UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Cos",
    "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
    "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip
TOGETHER = (
    "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "CastLike", "Clip", "Equal", "Greater",
    "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Or", "PRelu", "Pow", "Sub", "Sum",
    "Where", "Xor",
)  # fmt: skip
BATCHWISE = (
    "AffineGrid", "DepthToSpace", "GridSample", "GroupNormalization", "LpPool", "LRN", "MaxUnpool",
    "SpaceToDepth", "ConvTranspose",
)  # fmt: skip

RULES: dict[str, Callable[[Step], None]] = {
    **dict.fromkeys(UNARY, elementwise),
    **dict.fromkeys(TOGETHER, elementwise),
    **dict.fromkeys(("Div", "Mul"), identity_of_mean),
    **dict.fromkeys(REDUCTIONS, reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), along_axis("takes the softmax over all frames")),
    **dict.fromkeys(("ArgMax", "ArgMin"), along_axis("searches all frames of the clip", 0)),
    "TopK": along_axis("sorts the frames of the clip"),
    "LpNormalization": along_axis("normalizes over all frames of the clip"),
    "LayerNormalization": layer_norm,
    "BatchNormalization": by_channel,
    "InstanceNormalization": normalize_planes,
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), pool_everything),
    "MatMul": matmul,
    "Gemm": gemm,
    "Einsum": einsum,
    **dict.fromkeys(BATCHWISE, batchwise),
}

"""Convolutions and pools over time: a state with past frames replaces their padding."""

from __future__ import annotations

import numpy as np

from edgevid.passes.streaming.evaluate import evaluate
from edgevid.passes.streaming.frame_rules import batchwise
from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.timeline import FIRST, NotStreamableError, Timeline


def window(step: Step) -> None:
    timeline, node = step.only, step.node
    if timeline.axis == 0:
        batchwise(step)
        return
    if timeline.axis == 1:
        raise NotStreamableError("treats frames as channels")
    place, spatial = timeline.axis - 2, len(step.shape()) - 2
    kernel, stride, dilation, pads = _geometry(step, spatial)
    before, after = pads[place], pads[place + spatial]
    reach = (kernel[place] - 1) * dilation[place]
    if stride[place] != 1:
        raise NotStreamableError(
            f"has a stride of {stride[place]} over time, so it has no output for some frames"
        )
    if not (reach or before or after):
        step.keep_node(timeline)
        return
    if (before or after) and node.op_type == "MaxPool":
        raise NotStreamableError("pads the clip for a maximum: pad it in front of the layer")
    if (
        (before or after)
        and node.op_type == "AveragePool"
        and not node.attributes.get_int("count_include_pad", 0)
    ):
        raise NotStreamableError("averages fewer frames at the ends of the clip: set count_include_pad=True")
    result = Timeline(timeline.axis, step.result_shape()[timeline.axis], lead=timeline.lead + before - reach)
    if timeline.outer != 1 or timeline.inner != 1:
        raise NotStreamableError("runs over an axis that counts frames and something else")
    pads[place] = pads[place + spatial] = 0
    node.attributes.add(_ints("pads", pads))
    past = _past(step, timeline, reach, before) if result.lead > 0 else None
    x = node.inputs[0]
    if before and timeline.lead < 0:
        x = step.from_frame(-timeline.lead, np.zeros((), x.dtype.numpy()), x)
        node.replace_input_with(0, x)
    if reach:
        ring = step.ring(x, timeline, reach, zeros_before=before > 0)
        node.replace_input_with(0, ring)
    step.keep_node(Timeline(result.axis, result.length, lead=result.lead, past=past), past_is_known=True)


def _geometry(step: Step, spatial: int) -> tuple[tuple[int, ...], ...]:
    attributes = step.node.attributes
    if attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise NotStreamableError("leaves its padding to the runtime")
    ones = (1,) * spatial
    kernel = attributes.get_ints("kernel_shape", None) or step.shape(1)[2:]
    pads = list(attributes.get_ints("pads", (0,) * 2 * spatial))
    return tuple(kernel), attributes.get_ints("strides", ones), attributes.get_ints("dilations", ones), pads


def _ints(name: str, values):
    import onnx_ir as ir

    return ir.AttrInt64s(name, values)


def _past(step: Step, timeline: Timeline, reach: int, before: int) -> np.ndarray | str | None:
    """The output for a constant past: that for a window of equal frames."""
    past = timeline.past
    if isinstance(past, str):
        return FIRST if not before else None
    if timeline.lead == 0:
        past = np.zeros((), step.node.inputs[0].dtype.numpy())
    if past is None or (before and past.any()):
        return None
    shape = list(timeline.one_frame(step.shape()))
    shape[timeline.axis] = reach + 1
    others = [value if value is None else step.walk.constants.of(value) for value in step.node.inputs[1:]]
    if any(array is None and value is not None for array, value in zip(others, step.node.inputs[1:])):
        return None
    return evaluate(step.node, [np.broadcast_to(past, shape).copy(), *others])


RULES = dict.fromkeys(("Conv", "AveragePool", "MaxPool", "LpPool"), window)

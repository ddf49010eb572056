"""Channel convolution without shared weights: a filter along the channels with separate taps at each step.

``x`` is ``(N, C, ...)``, ``weight`` ``(G, L, M)``, ``bias`` ``(G, M)`` or absent. As in ``ChannelConv``, step
``m`` of filter ``g`` multiplies the ``L`` channels from ``m * stride - pad_begin``, here by ``weight[g, :,
m]``.

Source: Gao, Wang, Cai, Ji, "ChannelNets: Compact and Efficient Convolutional Neural Networks via Channel-Wise
Convolutions", TPAMI 2020 (the convolutional classification layer without weight-sharing).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.ops.channel_conv import SCHEMA, reshape
from edgevid.ops.channel_conv import Filters as SharedFilters
from edgevid.ops.channel_conv import cost as cost
from edgevid.ops.channel_conv import streaming_step as streaming_step
from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Example, TemporalOp, input_shape, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

ONNX_FUNCTIONS = {
    # All windows of L channels, (N, M, L, H*W); a matrix product per step m. Gemm accepts an absent bias.
    "UnsharedChannelConv": """
        <domain: "edgevid", opset_import: ["" : 18]>
        UnsharedChannelConv <stride, pad_begin, pad_end> (x, weight, bias) => (y) {
            zero = Constant <value_int = 0> ()
            step = Constant <value_int = 1> ()
            one = Constant <value_ints = [1]> ()
            last = Constant <value_ints = [-1]> ()
            planes_shape = Constant <value_ints = [0, 0, -1]> ()
            stride_scalar = Constant <value_int: int = @stride> ()
            begin_scalar = Constant <value_int: int = @pad_begin> ()
            end_scalar = Constant <value_int: int = @pad_end> ()
            begin = Reshape (begin_scalar, one)
            end = Reshape (end_scalar, one)
            sides = Concat <axis = 0> (begin, end)
            batch = Shape <start = 0, end = 1> (x)
            image = Shape <start = 2> (x)
            planes = Reshape (x, planes_shape)
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, x)
            padded = Pad (planes, sides, fill, one)
            taps = Shape <start = 1, end = 2> (weight)
            steps = Shape <start = 2> (weight)
            taps_scalar = Squeeze (taps)
            steps_scalar = Squeeze (steps)
            tap = Range (zero, taps_scalar, step)
            number = Range (zero, steps_scalar, step)
            start = Mul (number, stride_scalar)
            start_column = Unsqueeze (start, one)
            position = Add (start_column, tap)
            windows = Gather <axis = 1> (padded, position)
            by_step = Transpose <perm = [2, 0, 1]> (weight)
            products = MatMul (by_step, windows)
            groups = Transpose <perm = [0, 2, 1, 3]> (products)
            filters = Shape <start = 0, end = 1> (weight)
            left_shape = Concat <axis = 0> (filters, one)
            right_shape = Concat <axis = 0> (one, steps)
            left = Expand (fill, left_shape)
            right = Expand (fill, right_shape)
            bias_rows = Gemm (left, right, bias)
            bias_columns = Unsqueeze (bias_rows, last)
            total = Add (groups, bias_columns)
            y_shape = Concat <axis = 0> (batch, last, image)
            y = Reshape (total, y_shape)
        }
    """,
}
"""The function body in standard operators, in ONNX's text format; other runtimes inline it."""


@dataclass(frozen=True)
class Filters(SharedFilters):
    """The attributes of a convolution and the shapes of its weights."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape`` ``(N, C, ...)``."""
        if len(self.weight_shape) != 3 or 0 in self.weight_shape:
            raise ValueError(f"weights {self.weight_shape} are not (filters, taps, steps)")
        shared = SharedFilters(self.stride, self.pad_begin, self.pad_end, self.weight_shape[:2])
        shared.check(shape)
        if shared.outputs(shape[1]) != self.steps:
            raise ValueError(
                f"weights for {self.steps} steps do not fit {shared.outputs(shape[1])} of them: "
                f"{shape[1]} channels in strides of {self.stride}"
            )
        if self.bias_shape is not None and self.bias_shape != self.weight_shape[::2]:
            filters = self.weight_shape[0]
            raise ValueError(f"a bias {self.bias_shape} does not fit {filters} filters of {self.steps} steps")

    @property
    def steps(self) -> int:
        return self.weight_shape[2]

    def windows(self) -> list[list[int]]:
        """The padded channels that each step reads, ``(M, L)``."""
        starts = range(0, self.steps * self.stride, self.stride)
        return [list(range(start, start + self.weight_shape[1])) for start in starts]

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], self.weight_shape[0] * self.steps, *shape[2:])


def from_node(node: ir.Node) -> Filters:
    """The attributes of an ``UnsharedChannelConv`` node; raises ``ValueError`` for a missing one."""
    return Filters(
        *integers(node, "stride", "pad_begin", "pad_end"), input_shape(node, 1), input_shape(node, 2)
    )


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.unshared_channel_conv(x, weight, bias, stride, pad_begin, pad_end)``.

    Registered on first call. The result has the type of ``x``, under autocast too (weights of another type
    are converted), and is contiguous. Raises ``ValueError`` for shapes that do not fit.
    """
    import torch
    from torch.nn import functional

    def windows_of(x: torch.Tensor, taps: int, stride: int, pad_begin: int, pad_end: int) -> torch.Tensor:
        """The windows ``(N, M, H*W, L)``, a view."""
        planes = functional.pad(x.reshape(*x.shape[:2], -1), (0, 0, pad_begin, pad_end))
        return planes.unfold(1, taps, stride)

    def forward(
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        pad_begin: int,
        pad_end: int,
    ) -> torch.Tensor:
        bias_shape = None if bias is None else tuple(bias.shape)
        filters = Filters(stride, pad_begin, pad_end, tuple(weight.shape), bias_shape)
        filters.check(tuple(x.shape))
        windows = windows_of(x, weight.shape[1], stride, pad_begin, pad_end)
        # Under autocast, the result would have another type than the fake op's.
        with torch.autocast(x.device.type, enabled=False):
            groups = torch.einsum("nmpl,glm->ngmp", windows, weight.to(x.dtype))
        if bias is not None:
            groups = groups + bias.to(x.dtype)[..., None]
        return groups.reshape(filters.result_shape(tuple(x.shape))).contiguous()

    def fake(x: torch.Tensor, weight: torch.Tensor, *_: Any) -> torch.Tensor:
        return x.new_empty((x.shape[0], weight.shape[0] * weight.shape[2], *x.shape[2:]))

    def backward(
        gradient: torch.Tensor,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        pad_begin: int,
        pad_end: int,
    ) -> tuple[Any, ...]:
        filters, taps, steps = weight.shape
        groups = gradient.reshape(x.shape[0], filters, steps, -1)
        windows = windows_of(x, taps, stride, pad_begin, pad_end)
        for_weight = torch.einsum("nmpl,ngmp->glm", windows, groups).to(weight.dtype)
        padded = x.new_zeros(x.shape[0], pad_begin + x.shape[1] + pad_end, groups.shape[3])
        for tap in range(taps):
            channels = slice(tap, tap + (steps - 1) * stride + 1, stride)
            padded[:, channels] += torch.einsum("ngmp,gm->nmp", groups, weight[:, tap].to(x.dtype))
        for_x = padded[:, pad_begin : pad_begin + x.shape[1]].reshape(x.shape)
        return for_x, for_weight, None if bias is None else groups.sum((0, 3)).to(bias.dtype)

    return register_torch_op(f"unshared_channel_conv{SCHEMA}", forward, fake, backward, reads=(0, 1))


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    (x, weight, *bias), filters = node.inputs, from_node(node)
    shape = tuple(x.shape.numpy())
    images, channels, pixels = shape[0], shape[1], prod(shape[2:])
    count, taps, steps = filters.weight_shape
    y = reshape(x, (images, channels, pixels), build)
    if filters.pad_begin or filters.pad_end:
        padded = (images, filters.pad_begin + channels + filters.pad_end, pixels)
        y = build.node(
            "Pad", [y, build.ints([0, filters.pad_begin, 0, 0, filters.pad_end, 0])], padded, x.type
        )
    indices = build.constant(np.array(filters.windows()))
    windows = build.node("Gather", [y, indices], (images, steps, taps, pixels), x.type, axis=1)
    by_step = _transpose(weight, (2, 0, 1), build)
    y = build.node("MatMul", [by_step, windows], (images, steps, count, pixels), x.type)
    y = _transpose(y, (0, 2, 1, 3), build)
    if bias:
        offsets = reshape(bias[0], (count, steps, 1), build)
        y = build.node("Add", [y, offsets], (images, count, steps, pixels), x.type)
    build.replace_anchor(reshape(y, filters.result_shape(shape), build))


def _transpose(value: ir.Value, axes: tuple[int, ...], build: GraphBuilder) -> ir.Value:
    if value.const_value is not None:
        return build.constant(value.const_value.numpy().transpose(axes))
    shape = tuple(value.shape.numpy())
    return build.node("Transpose", [value], [shape[axis] for axis in axes], value.type, perm=axes)


OP = TemporalOp(
    name="UnsharedChannelConv",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    example=Example(((2, 6, 3, 2), (2, 3, 3), (2, 3)), {"stride": 2, "pad_begin": 1, "pad_end": 0}),
    variants={"MatMul": "matrix product for each step"},
)

"""Channel convolution: filters that move along the channel axis, the same at every pixel.

``x`` is ``(N, C, ...)``, ``weight`` ``(G, L)``, ``bias`` ``(G,)`` or absent. The channels are padded by
``pad_begin`` and ``pad_end`` zeros; filter ``g`` moves along them in steps of ``stride`` and yields ``M``
channels, group ``g`` of the result ``(N, G*M, ...)``: ``M = (pad_begin + C + pad_end - L) // stride + 1``.

Source: Gao, Wang, Ji, "ChannelNets: Compact and Efficient Convolutional Neural Networks via Channel-Wise
Convolutions", NeurIPS 2018, section 3.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgevid.ops.register import register_torch_op
from edgevid.ops.temporal_op import Cost, Example, TemporalOp, input_shape, integers

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from edgevid.ops.temporal_op import GraphBuilder

SCHEMA = "(Tensor x, Tensor weight, Tensor? bias, int stride, int pad_begin, int pad_end) -> Tensor"
"""The arguments of the torch op, shared with ``UnsharedChannelConv``."""

ONNX_FUNCTIONS = {
    # The strides of Conv are a list attribute, which a function cannot build from an integer attribute. So
    # the channels form rows of `stride`: column s becomes input channel s of a Conv2d that moves row by row.
    "ChannelConv": """
        <domain: "edgevid", opset_import: ["" : 18]>
        ChannelConv <stride, pad_begin, pad_end> (x, weight, bias) => (y) {
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            infer = Constant <value_ints = [-1]> ()
            last = Constant <value_ints = [3]> ()
            planes_shape = Constant <value_ints = [0, 0, -1]> ()
            stride_scalar = Constant <value_int: int = @stride> ()
            begin_scalar = Constant <value_int: int = @pad_begin> ()
            end_scalar = Constant <value_int: int = @pad_end> ()
            row = Reshape (stride_scalar, one)
            begin = Reshape (begin_scalar, one)
            end = Reshape (end_scalar, one)
            batch = Shape <start = 0, end = 1> (x)
            channels = Shape <start = 1, end = 2> (x)
            image = Shape <start = 2> (x)
            filters = Shape <start = 0, end = 1> (weight)
            taps = Shape <start = 1> (weight)
            planes = Reshape (x, planes_shape)
            pixels = Shape <start = 2> (planes)
            begin_and_channels = Add (begin, channels)
            length = Add (begin_and_channels, end)
            span = Sub (length, taps)
            steps = Div (span, row)
            taps_and_row = Add (taps, row)
            rounded_up = Sub (taps_and_row, one)
            tap_rows = Div (rounded_up, row)
            rows = Add (steps, tap_rows)
            row_channels = Mul (rows, row)
            end_and_rest = Sub (row_channels, begin_and_channels)
            sides = Concat <axis = 0> (begin, end_and_rest)
            fill_float = Constant <value_float = 0.0> ()
            fill = CastLike (fill_float, x)
            padded = Pad (planes, sides, fill, one)
            rows_shape = Concat <axis = 0> (zero, rows, row, pixels)
            in_rows = Reshape (padded, rows_shape)
            by_position = Transpose <perm = [0, 2, 1, 3]> (in_rows)
            tap_space = Mul (tap_rows, row)
            more_taps = Sub (tap_space, taps)
            tap_sides = Concat <axis = 0> (zero, more_taps)
            padded_weight = Pad (weight, tap_sides, fill, one)
            tap_shape = Concat <axis = 0> (zero, tap_rows, row)
            weight_in_rows = Reshape (padded_weight, tap_shape)
            weight_by_position = Transpose <perm = [0, 2, 1]> (weight_in_rows)
            kernel = Unsqueeze (weight_by_position, last)
            groups = Conv (by_position, kernel, bias)
            y_shape = Concat <axis = 0> (batch, infer, image)
            y = Reshape (groups, y_shape)
        }
    """,
}
"""The function body in standard operators, in ONNX's text format; other runtimes inline it."""


@dataclass(frozen=True)
class Filters:
    """The attributes of one convolution and the shapes of its weights."""

    stride: int
    pad_begin: int
    pad_end: int
    weight_shape: tuple[int, ...]
    bias_shape: tuple[int, ...] | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape`` ``(N, C, ...)``."""
        if len(shape) < 2:
            raise ValueError(f"a channel convolution takes (N, C, ...), not {len(shape)} dimensions")
        if len(self.weight_shape) != 2 or 0 in self.weight_shape:
            raise ValueError(f"weights {self.weight_shape} are not (filters, taps)")
        if self.stride < 1 or min(self.pad_begin, self.pad_end) < 0:
            pads = self.pad_begin, self.pad_end
            raise ValueError(f"stride {self.stride} must be at least 1, and padding {pads} at least 0")
        padded = self.pad_begin + shape[1] + self.pad_end
        if padded < self.weight_shape[1]:
            raise ValueError(f"{self.weight_shape[1]} taps do not fit in {padded} channels (with padding)")
        if self.bias_shape is not None and self.bias_shape != self.weight_shape[:1]:
            raise ValueError(f"a bias {self.bias_shape} does not fit {self.weight_shape[0]} filters")

    def outputs(self, channels: int) -> int:
        """The number of output channels of each filter."""
        return (self.pad_begin + channels + self.pad_end - self.weight_shape[1]) // self.stride + 1

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], self.weight_shape[0] * self.outputs(shape[1]), *shape[2:])


def from_node(node: ir.Node) -> Filters:
    """The attributes of a ``ChannelConv`` node; raises ``ValueError`` for a missing one."""
    return Filters(
        *integers(node, "stride", "pad_begin", "pad_end"), input_shape(node, 1), input_shape(node, 2)
    )


def cost(filters: Filters, shape: tuple[int, ...], itemsize: int = 4) -> Cost:
    """One MAC per tap and output element; each element and each weight is accessed once."""
    results = prod(filters.result_shape(shape))
    weights = prod(filters.weight_shape) + prod(filters.bias_shape or (0,))
    return Cost(filters.weight_shape[1] * results, (prod(shape) + results + weights) * itemsize)


def streaming_step(filters: Filters, shape: tuple[int, ...]) -> None:
    """None: it computes each frame separately."""


@functools.cache
def torch_op() -> Any:
    """``torch.ops.edgevid.channel_conv(x, weight, bias, stride, pad_begin, pad_end)``.

    Registered on first call. The result has the type of ``x``, under autocast too (weights of another type
    are converted), and is contiguous. Raises ``ValueError`` for shapes that do not fit.
    """
    import torch
    from torch.nn import functional

    def on_view(x: torch.Tensor, weight: torch.Tensor, pad_begin: int, pad_end: int) -> tuple[Any, ...]:
        """The input and the kernel of the two-dimensional convolution on ``(N, 1, C, H*W)``."""
        planes = x.reshape(x.shape[0], 1, x.shape[1], -1)
        return functional.pad(planes, (0, 0, pad_begin, pad_end)), weight.to(x.dtype)[:, None, :, None]

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
        planes, kernel = on_view(x, weight, pad_begin, pad_end)
        offset = None if bias is None else bias.to(x.dtype)
        # Under autocast, the result would have another type than the fake op's.
        with torch.autocast(x.device.type, enabled=False):
            groups = functional.conv2d(planes, kernel, offset, (stride, 1))
        return groups.reshape(filters.result_shape(tuple(x.shape)))

    def fake(
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        pad_begin: int,
        pad_end: int,
    ) -> torch.Tensor:
        outputs = (pad_begin + x.shape[1] + pad_end - weight.shape[1]) // stride + 1
        return x.new_empty((x.shape[0], weight.shape[0] * outputs, *x.shape[2:]))

    def backward(
        gradient: torch.Tensor,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: int,
        pad_begin: int,
        pad_end: int,
    ) -> tuple[Any, ...]:
        planes, kernel = on_view(x, weight, pad_begin, pad_end)
        groups = gradient.reshape(x.shape[0], weight.shape[0], -1, planes.shape[3])
        for_planes = torch.nn.grad.conv2d_input(planes.shape, kernel, groups, (stride, 1))
        for_x = for_planes[:, :, pad_begin : pad_begin + x.shape[1]].reshape(x.shape)
        for_kernel = torch.nn.grad.conv2d_weight(planes, kernel.shape, groups, (stride, 1))
        for_bias = None if bias is None else groups.sum((0, 2, 3)).to(bias.dtype)
        return for_x, for_kernel.reshape(weight.shape).to(weight.dtype), for_bias

    return register_torch_op(f"channel_conv{SCHEMA}", forward, fake, backward, reads=(0, 1))


def lower(node: ir.Node, build: GraphBuilder, variant: str) -> None:
    (x, weight, *bias), filters = node.inputs, from_node(node)
    shape = tuple(x.shape.numpy())
    images, channels, pixels = shape[0], shape[1], prod(shape[2:])
    count, taps = filters.weight_shape
    groups = build.node(
        "Conv",
        [
            reshape(x, (images, 1, channels, pixels), build),
            reshape(weight, (count, 1, taps, 1), build),
            *bias,
        ],
        (images, count, filters.outputs(channels), pixels),
        x.type,
        strides=[filters.stride, 1],
        pads=[filters.pad_begin, 0, filters.pad_end, 0],
    )
    build.replace_anchor(reshape(groups, filters.result_shape(shape), build))


def reshape(value: ir.Value, shape: tuple[int, ...], build: GraphBuilder) -> ir.Value:
    if value.const_value is not None:
        return build.constant(value.const_value.numpy().reshape(shape))
    return build.node("Reshape", [value, build.ints(shape)], shape, value.type)


OP = TemporalOp(
    name="ChannelConv",
    functions=ONNX_FUNCTIONS,
    from_node=from_node,
    cost=cost,
    streaming_step=streaming_step,
    torch_op=torch_op,
    lower=lower,
    example=Example(((2, 6, 3, 2), (2, 3), (2,)), {"stride": 2, "pad_begin": 1, "pad_end": 0}),
    variants={"Conv": "Conv along the channels"},
)

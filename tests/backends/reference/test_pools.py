"""Pools in whole arrays give what PyTorch gives, whatever their windows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx.reference")

KINDS = [
    # kernel, stride, padding, dilation
    ((2, 2), (2, 2), (0, 0), (1, 1)),
    ((3, 3), (1, 1), (1, 1), (1, 1)),
    ((3, 2), (1, 2), (1, 0), (1, 1)),
    ((3, 3), (2, 2), (1, 1), (1, 1)),
    ((2, 3), (3, 2), (1, 1), (1, 2)),
    ((2, 2), (3, 3), (1, 1), (1, 1)),
    ((1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1)),
    ((2, 2, 2), (2, 2, 2), (0, 1, 1), (1, 1, 1)),
    ((3,), (2,), (1,), (2,)),
]


def pooled(op_type, x, **attributes):
    from onnx.reference import ReferenceEvaluator

    from edgevid.backends.reference.pools import AveragePool, MaxPool

    node = onnx.helper.make_node(op_type, ["x"], ["y"], **attributes)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "pool",
        [value("x", onnx.TensorProto.FLOAT, x.shape)],
        [value("y", onnx.TensorProto.FLOAT, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    return ReferenceEvaluator(model, new_ops=[MaxPool, AveragePool]).run(None, {"x": x})[0]


def image(rank):
    return np.random.default_rng(rank).standard_normal((2, 3, 7, 8, 9)[: 2 + rank], np.float32)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), KINDS)
def test_the_maximum_of_each_window(kernel, stride, padding, dilation, ceil):
    x = image(len(kernel))
    expected = getattr(torch.nn.functional, f"max_pool{len(kernel)}d")(
        torch.from_numpy(x), kernel, stride, padding, dilation, ceil_mode=ceil
    )
    y = pooled(
        "MaxPool",
        x,
        kernel_shape=kernel,
        strides=stride,
        pads=padding * 2,
        dilations=dilation,
        ceil_mode=int(ceil),
    )
    np.testing.assert_array_equal(y, expected.numpy())


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [kind[:3] for kind in KINDS])
def test_the_average_of_each_window(kernel, stride, padding, ceil, include):
    x = image(len(kernel))
    expected = getattr(torch.nn.functional, f"avg_pool{len(kernel)}d")(
        torch.from_numpy(x), kernel, stride, padding, ceil_mode=ceil, count_include_pad=include
    )
    y = pooled(
        "AveragePool",
        x,
        kernel_shape=kernel,
        strides=stride,
        pads=padding * 2,
        ceil_mode=int(ceil),
        count_include_pad=int(include),
    )
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_paddings_at_the_beginning_alone_and_standard_attributes():
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    y = pooled("MaxPool", x, kernel_shape=(2, 2), pads=(1, 0, 0, 0))
    np.testing.assert_array_equal(y, [[[[1, 2, 3], [5, 6, 7], [9, 10, 11]]]])


def test_sizes_from_a_rule_and_positions_are_onnx_own():
    x = image(2)
    y = pooled("MaxPool", x, kernel_shape=(2, 2), strides=(2, 2), auto_pad="SAME_UPPER")
    assert y.shape == (2, 3, 4, 4)

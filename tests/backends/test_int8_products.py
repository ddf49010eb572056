"""int8 uses the fast kernels of ONNX Runtime where the processor accumulates products without overflow."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.backends.onnxruntime.backend import open_model
from edgevid.backends.onnxruntime.int8 import needs_wider_products
from edgevid.backends.protocol import OpenOptions
from edgevid.specs import Artefact


@pytest.mark.parametrize(
    ("text", "wider"),
    [
        ("processor : 0\nflags\t\t: fpu sse4_2 avx2 avx512_vnni avx512f\n", False),
        ("flags : fpu avx2 avx_vnni\n", False),
        ("flags : fpu avx2 avx512f avx512_vnnix\n", True),
        ("Features : fp asimd asimddp\n", True),
        ("", True),
        (None, True),
    ],
)
def test_vnni_is_what_decides(tmp_path, text, wider):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert needs_wider_products(tmp_path / "cpuinfo") is wider


def largest_products(path) -> tuple[np.ndarray, np.ndarray]:
    """Save a quantized convolution whose products are all 255 x 127; its input and exact output."""
    arrays = {
        "scale": np.float32(1),
        "zero": np.uint8(0),
        "w": np.full((16, 64, 1, 1), 127, np.int8),
        "w_zero": np.int8(0),
        "y_scale": np.float32(64 * 255 * 127 / 200),
    }
    node = helper.make_node(
        "QLinearConv", ["x", "scale", "zero", "w", "scale", "w_zero", "y_scale", "zero"], ["y"]
    )
    graph = helper.make_graph(
        [node],
        "products",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, (1, 64, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, (1, 16, 4, 4))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return np.full((1, 64, 4, 4), 255, np.uint8), np.full((1, 16, 4, 4), 200, np.uint8)


def test_the_largest_products_do_not_overflow_on_this_processor(tmp_path):
    x, expected = largest_products(tmp_path / "m.onnx")
    assert np.array_equal(
        open_model(Artefact("m.onnx", "int8", "", "onnxruntime"), tmp_path, OpenOptions(1)).run({"x": x})[
            "y"
        ],
        expected,
    )

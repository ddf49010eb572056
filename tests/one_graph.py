"""Tiny ONNX graphs that ONNX Runtime profiles at once, and a session of one for the profile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgevid.backends.onnxruntime.runner import OnnxRuntimeRunner


def save(path: Path, nodes: list, inputs: dict, outputs: dict, weights: dict[str, np.ndarray]) -> Path:
    """Save a graph of ``nodes``; ``inputs`` and ``outputs`` are shapes by name."""
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        for shapes in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "test", *values, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    from onnx.shape_inference import infer_shapes

    path.write_bytes(infer_shapes(model).SerializeToString())
    return path


def with_a_heavy_product(path: Path, size: int = 256) -> Path:
    """Three products, of which ``heavy``, the second, has by far the most MACs; then a Reshape."""
    random = np.random.default_rng(0)
    shapes = {"light.weight": (16, size), "heavy.weight": (size, size), "last.weight": (size, 4)}
    weights = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    weights["shape"] = np.array([-1], np.int64)
    nodes = [
        helper.make_node("MatMul", ["x", "light.weight"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("MatMul", ["b", "heavy.weight"], ["c"], "second"),
        helper.make_node("MatMul", ["c", "last.weight"], ["d"], "third"),
        helper.make_node("Reshape", ["d", "shape"], ["y"], "flatten"),
    ]
    return save(path, nodes, {"x": (size, 16)}, {"y": (4 * size,)}, weights)


class GraphSession:
    """What a profile uses of an open bundle, on a file of ONNX Runtime's own operators."""

    op_coverage: tuple = ()

    def __init__(self, path: Path) -> None:
        self.runner = OnnxRuntimeRunner(path, 1, ())
        self.threads, self.bundle = 1, SimpleNamespace(path=path)
        random = np.random.default_rng(0)
        self.inputs = {
            name: random.standard_normal(shape, dtype=np.float32)
            for name, shape in self.runner.inputs.items()
        }

    def prepare(self):
        return self.runner.bind(self.inputs)

    def profiler(self):
        profiler = self.runner.profiler()
        return profiler.runner.bind(self.inputs), profiler.finish

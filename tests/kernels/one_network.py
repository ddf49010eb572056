"""Shared by tests of networks with kernels: making small networks, and comparing outputs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgevid import ops
from edgevid.backends.onnxruntime.session_options import cpu_session

INPUTS = 4
"""Channels of a network's input, fewer than any block, so that nothing is reordered before it."""


def save(path, nodes, weights, inputs, outputs, shapes=None) -> None:
    """Save a model of ``nodes``; ``inputs``, ``outputs`` and ``shapes`` map names to shapes."""
    values = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in group.items()]
        for group in (inputs, outputs, shapes or {})
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "network", values[0], values[1], constants, value_info=values[2])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(ops.DOMAIN, 1)]
    op_types = {node.op_type for node in nodes if node.domain == ops.DOMAIN}
    functions = [onnx.parser.parse_function(ops.op_of(kind).functions[kind]) for kind in op_types]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9), path)


def run(path, configure, seed=7):
    """The names of the inputs, and the outputs by name, for noise."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    configure(options)
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    random = np.random.default_rng(seed)
    feeds = {
        value.name: random.standard_normal(value.shape, dtype=np.float32) for value in session.get_inputs()
    }
    names = [value.name for value in session.get_outputs()]
    return list(feeds), dict(zip(names, session.run(names, feeds)))


def assert_same(path, specialized):
    inputs, expected = run(path, lambda options: None)
    new_inputs, outputs = run(specialized.path, specialized.configure)
    assert (new_inputs, list(outputs)) == (inputs, list(expected))
    for name in expected:
        assert np.abs(outputs[name] - expected[name]).max() <= 1e-5 * np.abs(expected[name]).max()


def session_without_blocks(path, options, in_blocks=True):
    """Replaces ``runtime.cpu_session`` by a runtime without a blocked layout."""
    return cpu_session(path, options, in_blocks=False)

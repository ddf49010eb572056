"""ONNX Runtime sessions, and single nodes in one, as functions that run on bound inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.session_options import cpu_session, session_options
from edgevid.benchmarks.experiments.study import Run

REST_S = 0.01
"""Between two runs, as a session's threads spin for a while and would take the other's cores."""


def session(model: Path | bytes, threads: int, configure: Callable = lambda options: None) -> Run:
    return bound(open_session(model, threads, configure))


def open_session(model: Path | bytes, threads: int | None, configure: Callable = lambda options: None):
    options = session_options(threads)
    configure(options)
    return cpu_session(model, options)


def convolution(
    x_shape: tuple[int, ...], weights: np.ndarray, threads: int, domain: str, op_type: str, **attributes
) -> Run:
    """A convolution node with weights and a bias, run by this machine's kernels; ``y`` has the size of ``x``.

    ``weights`` are ``(outputs, inputs, kh, kw)``, or Winograd's ``(points, outputs, inputs)``.
    """
    from onnx import TensorProto, helper, numpy_helper

    from edgevid.backends.onnxruntime.specialize.runtime import load_as_optimized
    from edgevid.kernels.common import build

    channels = weights.shape[-4 if weights.ndim == 4 else -2]
    shapes = {"x": x_shape, "y": (x_shape[0], channels, *x_shape[2:])}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    arrays = {"w": weights, "b": np.zeros(channels, np.float32)}
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    node = helper.make_node(op_type, ["x", "w", "b"], ["y"], domain=domain, **attributes)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    graph = helper.make_graph([node], op_type, [x], [y], constants)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    configure = functools.partial(load_as_optimized, library=build.library())
    return session(model.SerializeToString(), threads, configure)


def bound(session) -> Run:
    """A run of an ONNX Runtime session on fixed noise, with bound inputs and outputs."""
    import onnxruntime

    binding = session.io_binding()
    random = np.random.default_rng(0)
    for value in session.get_inputs():
        array = random.standard_normal(value.shape, dtype=np.float32)
        binding.bind_ortvalue_input(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for value in session.get_outputs():
        array = np.zeros(value.shape, np.float32)
        binding.bind_ortvalue_output(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    return lambda: session.run_with_iobinding(binding)

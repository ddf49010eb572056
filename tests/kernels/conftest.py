"""The kernel library, built once, and a way to run one of its ops."""

from __future__ import annotations

import pytest

OLD_RUNTIMES = ("1.20.", "1.21.", "1.22.", "1.23.")


@pytest.fixture(scope="session")
def library():
    from edgevid.kernels.common import build

    if build.find_compiler() is None:
        pytest.skip("this machine has no C++ compiler")
    path = build.library()
    assert path is not None, "the kernels do not compile; the log says why"
    return path


@pytest.fixture
def run_op(library):
    """Run one node ``edgevid.<op_type>`` on arrays (None: omitted); returns its outputs."""
    import onnx
    import onnxruntime
    from onnx import helper

    def run(op_type: str, inputs: list, outputs: int = 1, threads: int = 2, **attributes) -> list:
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        left_out = any(array is None for array in inputs)
        if left_out and onnxruntime.__version__.startswith(OLD_RUNTIMES):
            pytest.skip("ONNX Runtime before 1.24 crashes where an op with shapes leaves out an input")
        names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
        output_names = [f"y{i}" for i in range(outputs)]
        node = helper.make_node(op_type, names, output_names, domain="edgevid", **attributes)
        feeds = {name: array for name, array in zip(names, inputs) if name}
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [node],
            "op",
            [helper.make_tensor_value_info(name, kind, array.shape) for name, array in feeds.items()],
            [helper.make_tensor_value_info(name, kind, None) for name in output_names],
        )
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("edgevid", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        # A separate allocation for every tensor, so that a sanitizer detects an access beyond its end.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.register_custom_ops_library(str(library))
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return session.run(output_names, feeds)

    return run


@pytest.fixture
def use_isa(library, monkeypatch):
    """Force an instruction set; skips the test if the processor lacks it."""
    from edgevid.backends.onnxruntime.specialize.pipeline import isa_of
    from edgevid.errors import BackendError

    def use(isa: str) -> None:
        monkeypatch.setenv("EDGEVID_ISA", isa)
        try:
            isa_of(library)
        except BackendError as error:
            pytest.skip(str(error))

    return use

"""Every registered temporal op keeps its promises on its own example: a new one is covered by its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgevid import ops
from edgevid.ops import OPS
from edgevid.passes.lower import lower

torch = pytest.importorskip("torch")
from one_op import close, one_node_model, openvino_loads, run  # noqa: E402

CLIPS = 2
"""Of an example; ``frames`` of its attributes are those of each."""


def inputs_of(name: str) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(np.float32) for shape in OPS[name].example.shapes]


def result_of(name: str) -> np.ndarray:
    """What the torch op, which networks are made of, gives for the example."""
    op = OPS[name]
    return op.torch_op()(*map(torch.from_numpy, inputs_of(name)), **op.example.attributes).numpy()


def node_of(name: str, attributes: dict[str, int]) -> ir.Node:
    values = [
        ir.Value(name=f"x{i}", shape=ir.Shape(shape)) for i, shape in enumerate(OPS[name].example.shapes)
    ]
    return ir.node(name, values, attributes=attributes, domain=ops.DOMAIN)


def lowered(model: bytes, name: str, variant: str = "") -> bytes:
    graph = ir.from_proto(onnx.load_from_string(model))
    assert lower(graph, name, variant).matched == 1
    assert {node.domain for node in graph.graph} == {""}
    return ir.to_proto(graph).SerializeToString()


def frames_of(array: np.ndarray, frames: int) -> np.ndarray:
    """``(T, N, ...)`` of ``(N*T, ...)``."""
    return array.reshape(-1, frames, *array.shape[1:]).swapaxes(0, 1)


@pytest.mark.parametrize("name", OPS)
def test_an_op_is_one_file_with_its_name(name):
    op = OPS[name]
    assert Path(ops.__file__).with_name(f"{op.snake_name}.py").is_file()
    assert op.op_types in ((name,), (name, name + ops.STEP))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
def test_torch_holds_the_op_for_sound(name):
    """Its schema, its shapes without values and its gradient, by PyTorch's own checks."""
    tensors = [torch.from_numpy(array).requires_grad_() for array in inputs_of(name)]
    torch.library.opcheck(OPS[name].torch_op().default, tuple(tensors), OPS[name].example.attributes)


@pytest.mark.parametrize("name", OPS)
def test_the_gradient_is_that_of_the_differences(name):
    op = OPS[name]
    doubles = [torch.from_numpy(array).double().requires_grad_() for array in inputs_of(name)]
    assert torch.autograd.gradcheck(lambda *inputs: op.torch_op()(*inputs, **op.example.attributes), doubles)


@pytest.mark.parametrize("name", OPS)
def test_the_portable_function_computes_what_torch_does(name):
    model = one_node_model(name, inputs_of(name), **OPS[name].example.attributes)
    close(run(model, inputs_of(name))[0], result_of(name))


@pytest.mark.parametrize("name, variant", [(name, variant) for name in OPS for variant in OPS[name].variants])
def test_each_lowering_computes_what_torch_does(name, variant):
    model = one_node_model(name, inputs_of(name), **OPS[name].example.attributes)
    close(run(lowered(model, name, variant), inputs_of(name))[0], result_of(name))


@pytest.mark.parametrize("form", ["portable function", "lowered"])
@pytest.mark.parametrize("name", [name for name in OPS if len(OPS[name].op_types) == 2])
def test_a_stream_computes_frame_by_frame_what_a_clip_does(name, form):
    op, arrays, frames = OPS[name], inputs_of(name), OPS[name].example.attributes["frames"]
    by_frame = [frames_of(array, frames) if len(array) == CLIPS * frames else None for array in arrays]
    assert by_frame[0] is not None
    step = op.streaming_step_of(node_of(name, op.example.attributes), (CLIPS, *arrays[0].shape[1:]))
    state, results = np.zeros(step.state_shape, np.float32), []
    for frame in range(frames):
        x, *others = (arrays[i] if parts is None else parts[frame] for i, parts in enumerate(by_frame))
        model = one_node_model(step.op_type, [x, state, *others], 2, **step.attributes)
        if form == "lowered":
            model = lowered(model, name)
        result, state = run(model, [x, state, *others])
        results.append(result)
    close(np.stack(results), frames_of(result_of(name), frames))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
def test_openvino_takes_the_lowered_forms(name, tmp_path):
    op, (x, *others) = OPS[name], inputs_of(name)
    models = [one_node_model(name, [x, *others], **op.example.attributes)]
    if op.lower_step:
        step = op.streaming_step_of(node_of(name, op.example.attributes), (CLIPS, *x.shape[1:]))
        frames = op.example.attributes["frames"]
        others = [frames_of(array, frames)[0] if len(array) == len(x) else array for array in others]
        state = np.zeros(step.state_shape, np.float32)
        models.append(one_node_model(step.op_type, [x[:CLIPS], state, *others], 2, **step.attributes))
    for number, model in enumerate(models):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(lowered(model, name))
        openvino_loads(path)


@pytest.mark.parametrize("name", [name for name in OPS if len(OPS[name].op_types) == 1])
def test_an_op_without_a_step_sees_one_frame_alone(name):
    op = OPS[name]
    assert op.streaming_step_of(node_of(name, op.example.attributes), op.example.shapes[0]) is None
    assert op.lower_step is None


@pytest.mark.parametrize(
    "name, left_out", [(name, key) for name in OPS for key in OPS[name].example.attributes]
)
def test_a_node_without_an_attribute_is_refused_by_its_name(name, left_out):
    attributes = {key: value for key, value in OPS[name].example.attributes.items() if key != left_out}
    with pytest.raises(ValueError, match=left_out):
        OPS[name].check(node_of(name, attributes), OPS[name].example.shapes[0])


@pytest.mark.parametrize("name", OPS)
def test_an_op_that_runs_alone_touches_its_tensors_at_least_once(name):
    op = OPS[name]
    cost = op.cost_of(node_of(name, op.example.attributes), op.example.shapes[0])
    assert cost.macs >= 0
    assert cost.bytes_moved >= result_of(name).nbytes

"""What is not finite is never equal, in any output, in a state, and wherever outputs are compared."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, helper, numpy_helper

from edgevid.backends.onnxruntime.specialize.runtime import Runtime
from edgevid.backends.protocol import Job
from edgevid.backends.tensorrt.scripts import write_check_data
from edgevid.benchmarks.experiments.peers import case_runner
from edgevid.benchmarks.experiments.peers.worker_process import PeerError
from edgevid.errors import ParityError
from edgevid.parity import compare
from edgevid.specs import StateSpec
from edgevid.targets import TARGETS

SCRIPT = Path(str(files("edgevid.backends.tensorrt") / "templates" / "check.py"))
NOT_FINITE = [np.nan, np.inf, -np.inf]


def outputs(**values: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array([numbers], np.float32) for name, numbers in values.items()}


EXPECTED = outputs(logits=[1.0, -2.0], features=[3.0, 0.5, 1.0])


@pytest.mark.parametrize("number", NOT_FINITE)
@pytest.mark.parametrize("name", ["logits", "features", "next_state_0"])
def test_one_value_that_is_not_finite_makes_the_distance_infinite(name, number):
    result = {**EXPECTED, **outputs(next_state_0=[0.0, 1.0])}
    assert compare(result, EXPECTED, 1e-4).max_rel == 0.0
    result[name] = result[name].copy()
    result[name][0, -1] = number
    measured = compare(result, EXPECTED, 1e-4)
    assert (measured.max_abs, measured.max_rel, measured.ok) == (np.inf, np.inf, False)


@pytest.mark.parametrize("number", NOT_FINITE)
def test_what_is_not_finite_in_both_is_not_equal(number):
    both = outputs(logits=[1.0, 2.0], features=[1.0, number])
    assert compare(both, both, 1.0).max_rel == np.inf


def test_an_output_of_zeros_is_compared_without_a_division():
    zeros = outputs(logits=[0.0, 0.0])
    assert compare(zeros, zeros, 0.0).ok
    assert compare(outputs(logits=[0.0, 1e-9]), zeros, 1.0).max_rel == np.inf


def test_nothing_that_is_expected_is_no_proof():
    assert not compare({}, {}, 1.0).ok
    assert not compare(EXPECTED, {}, 1.0).ok


def test_an_infinite_distance_is_null_in_json():
    text = json.dumps(compare({}, EXPECTED, 1e-4).as_dict(), allow_nan=False)
    assert json.loads(text) == {"max_abs": None, "max_rel": None, "tolerance": 1e-4, "ok": False}


def board_script():
    """``check.py`` of a board's bundle as a module."""
    spec = importlib.util.spec_from_file_location("board_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e-45, 3e38, *NOT_FINITE]), st.floats(width=32, allow_nan=False)
)
OUTPUTS = st.dictionaries(
    st.sampled_from(["logits", "features", "state"]),
    arrays(np.float32, array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=3), elements=NUMBERS),
    max_size=3,
)


@st.composite
def pairs(draw):
    """Expected outputs, and a result that shares some of them as they are or a little changed."""
    expected, result = draw(OUTPUTS), draw(OUTPUTS)
    for name in expected:
        change = draw(st.sampled_from(["same", "near", "other"]))
        if change != "other":
            result[name] = expected[name] * np.float32(1.0 if change == "same" else 1.001)
    return result, expected


@given(pairs())
@example((EXPECTED, {**EXPECTED, "features": EXPECTED["features"].T}))
def test_the_script_of_a_board_measures_the_same(pair):
    result, expected = (
        {name: (list(array.shape), array.ravel().tolist()) for name, array in each.items()} for each in pair
    )
    assert board_script().distance(result, expected) == compare(*pair, 1.0).max_rel


@pytest.mark.parametrize(
    ("name", "number"), [("features", "nan"), ("next_state_0", "-nan"), ("next_state_0", "inf")]
)
def test_a_board_finds_it_in_the_second_output_and_in_a_state(tmp_path, name, number):
    job = Job("net", TARGETS["jetson"], "fp16", (), {}, EXPECTED)
    write_check_data(job, tmp_path)
    answer = {name: [str(n) for n in array.ravel()] for name, array in EXPECTED.items()}
    answer["next_state_0"] = ["1", "2"]
    assert check_on_board(tmp_path, answer).startswith("equal to PyTorch")
    answer[name][-1] = number
    assert "NOT EQUAL to PyTorch: max|a-b| / max|b| = inf" in check_on_board(tmp_path, answer)


def test_a_board_takes_an_output_of_zeros(tmp_path):
    write_check_data(Job("net", TARGETS["jetson"], "fp32", (), {}, outputs(logits=[0.0, 0.0])), tmp_path)
    assert check_on_board(tmp_path, {"logits": ["0", "0"]}).startswith("equal to PyTorch")
    assert check_on_board(tmp_path, {"logits": ["0", "1e-9"]}).startswith("NOT EQUAL")


def check_on_board(board: Path, answer: dict[str, list[str]]) -> str:
    items = [f'{{"name": "{name}", "values": [{", ".join(values)}]}}' for name, values in answer.items()]
    (board / "outputs.json").write_text(f"[{', '.join(items)}]")
    done = subprocess.run([sys.executable, SCRIPT, "fp32"], cwd=board, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == (0 if done.stdout.startswith("equal") else 1)
    return done.stdout


def model(**factors: float) -> onnx.ModelProto:
    """A float32 model that gives its input ``x`` times each factor, by the name of the output."""
    ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("x", *factors)}
    nodes = [helper.make_node("Mul", ["x", f"by_{name}"], [name]) for name in factors]
    constants = [
        numpy_helper.from_array(np.array(f, np.float32), f"by_{name}") for name, f in factors.items()
    ]
    graph = helper.make_graph(nodes, "net", [ends.pop("x")], list(ends.values()), constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("name", ["features", "next_state_0"])
def test_the_check_of_plugins_finds_it(name):
    import onnx_ir as ir

    from edgevid.backends.tensorrt.plugins import check

    x = np.ones((1, 4), np.float32)
    state = StateSpec("state_0", "next_state_0", (1, 4))
    job = Job("net", TARGETS["jetson"], "fp32", (state,), {"x": x}, {"logits": x, "features": 2 * x})
    factors = {"logits": 1.0, "features": 2.0, "next_state_0": 3.0}
    assert check(ir.from_proto(model(**factors)), job, "fp32") == 0.0
    with pytest.raises(ParityError, match="does not compute what PyTorch does"):
        check(ir.from_proto(model(**{**factors, name: np.nan})), job, "fp32")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["features", "next_state_0"])
def test_a_model_with_our_kernels_is_not_used(tmp_path, name):
    from edgevid.kernels.common import build

    library = build.library()
    if library is None:
        pytest.skip("there is no C++ compiler to build the kernels with")
    factors = {"logits": 1.0, "features": 2.0, "next_state_0": 3.0}
    paths = [tmp_path / f"{kind}.onnx" for kind in ("original", "same", "wrong")]
    for path, changed in zip(paths, ({}, {}, {name: np.nan})):
        onnx.save(model(**{**factors, **changed}), path)
    original, same, wrong = paths
    assert Runtime(library, 1).difference(original, same) == 0.0
    assert Runtime(library, 1).difference(original, wrong) == np.inf


class FakeWorker:
    """A worker process that returns one output."""

    def __init__(self, output: list) -> None:
        self.output = output

    def call(self, action: str) -> dict:
        return {"output": self.output}


def test_a_candidate_whose_second_frame_is_not_finite_is_not_timed():
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert case_runner._check(FakeWorker(expected.tolist()), expected) == 0.0
    with pytest.raises(PeerError, match="does not compute what eager PyTorch does"):
        case_runner._check(FakeWorker([[1.0, 2.0], [3.0, np.nan]]), expected)

"""A network with its shifts fused into its convolutions computes the same."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
from one_network import assert_same, run, save, session_without_blocks
from onnx import helper

from edgevid.backends.onnxruntime.specialize import pipeline, runtime
from edgevid.backends.onnxruntime.specialize.nchwc import block_size
from edgevid.backends.onnxruntime.specialize.pipeline import isa_of, specialize
from edgevid.host.local_cache import secret_is_persistent
from edgevid.kernels.common.build import isa_flags
from edgevid.onnxfile.graph import Model

pytestmark = pytest.mark.usefixtures("library")


def model_of(bundle):
    return bundle.path / bundle.manifest.model_file


@pytest.mark.parametrize("bundle", ["clip_bundle", "stream_bundle", "resnet_bundle"])
@pytest.mark.parametrize("isa", ["", "avx2", "generic"])
def test_every_shift_goes_into_a_convolution(request, use_isa, tmp_path, bundle, isa):
    if isa:
        if list(isa_flags()) == [isa]:
            pytest.skip(f"{isa} is the only instruction set of this architecture, so it was run already")
        use_isa(isa)
    path = model_of(request.getfixturevalue(bundle))
    result = specialize(path, tmp_path, 2)
    assert_same(path, result)
    assert len(result.op_coverage) >= 10
    for op in result.op_coverage:
        assert op.kernel.startswith("ShiftConv"), op
        assert (op.reason, op.flops) == ("", 0)
        assert op.bytes_after < op.bytes_before / 2
    model = Model(result.path.read_bytes())
    assert not [node for node in model.nodes if "Shift" in node.op_type and "Conv" not in node.op_type]


def test_no_fusion_is_lost_by_the_swap(resnet_bundle, tmp_path):
    if block_size() is None:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    model = Model(specialize(model_of(resnet_bundle), tmp_path, 2).path.read_bytes())
    kinds = [node.op_type for node in model.nodes]
    assert sum(kinds.count(kind) for kind in ("Conv", "ShiftConv", "WinogradConv")) == 53
    assert not {"Add", "Relu", "Pad", "Slice", "Concat"} & set(kinds)


@pytest.mark.parametrize("bundle", ["clip_bundle", "stream_bundle", "resnet_bundle"])
def test_a_runtime_without_blocked_layout_gets_the_plain_one(request, tmp_path, monkeypatch, bundle):
    monkeypatch.setattr(runtime, "cpu_session", session_without_blocks)
    path = model_of(request.getfixturevalue(bundle))
    result = specialize(path, tmp_path, 2)
    assert_same(path, result)
    assert {op.kernel.split()[1] for op in result.op_coverage} == {"(plain)"}


def test_the_bundles_own_file_runs_the_kernel_where_the_library_is_registered(clip_bundle, library):
    path = model_of(clip_bundle)
    _, expected = run(path, lambda options: None)
    _, outputs = run(path, lambda options: options.register_custom_ops_library(str(library)))
    for name in expected:
        np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-4, atol=1e-5)


def network(tmp_path, kernel=1, strides=1, activation="Relu", channels=16, first=1, keep=False):
    """Shift, convolution, activation; with ``keep`` the shifted tensor is an output too."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((16, channels, kernel, kernel), dtype=np.float32)
    shift = {"frames": 2, "fold": 3, "first": first, "second": -first}
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("TemporalShift", ["a"], ["s"], "shift", domain="edgevid", **shift),
        helper.make_node("Conv", ["s", "w"], ["c"], strides=[strides] * 2),
        helper.make_node(activation, ["c"], ["y"]),
    ]
    outputs = ["y", "s"] if keep else ["y"]
    path = tmp_path / "model.onnx"
    shape = [4, channels, 6, 6]
    save(path, nodes, {"w": weights}, {"x": shape}, dict.fromkeys(outputs), {"a": shape})
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kernel": 3}, "3x3 convolution"),
        ({"strides": 2}, "with strides"),
        ({"keep": True}, "leaves the network"),
        ({"activation": "Tanh"}, "activation Tanh"),
        ({"channels": 6}, ""),
    ],
)
def test_what_cannot_be_fused_says_why_and_still_computes(tmp_path, change, reason):
    path = network(tmp_path, **change)
    result = specialize(path, tmp_path / "cache", 1)
    assert_same(path, result)
    (op,) = result.op_coverage
    assert reason in op.reason
    assert op.kernel is not None


def test_a_result_that_differs_is_not_used(tmp_path, monkeypatch, caplog):
    path = network(tmp_path)
    monkeypatch.setattr(runtime.Runtime, "difference", lambda *_: 0.5)
    result = specialize(path, tmp_path / "cache", 1)
    assert result.path == path
    assert "differs by 5.0e-01" in result.op_coverage[0].reason
    assert "differs" in caplog.text


def test_a_runtime_that_refuses_the_functions_compares_with_the_op_by_itself(tmp_path):
    path = network(tmp_path)
    whole = path.read_bytes()
    model = onnx.load_from_string(whole)
    del model.functions[:]
    path.write_bytes(model.SerializeToString())
    result = specialize(path, tmp_path / "cache", 1)
    assert result.op_coverage[0].kernel.startswith("ShiftConv")
    path.write_bytes(whole)
    assert_same(path, result)


def test_a_network_the_runtime_cannot_take_is_opened_as_it_is(tmp_path, monkeypatch, caplog):
    path = network(tmp_path)

    def fail(*_):
        raise RuntimeError("no memory\nmore")

    monkeypatch.setattr(runtime.Runtime, "optimize", fail)
    result = specialize(path, tmp_path / "cache", 1)
    assert result.path == path
    assert "no memory" in result.op_coverage[0].reason
    assert "more" not in caplog.text


class TestCache:
    @pytest.fixture
    def builds(self, monkeypatch):
        """A list with an item for each specialization."""
        builds = []
        make = pipeline.write_specialized

        def count(*arguments):
            builds.append(arguments)
            return make(*arguments)

        monkeypatch.setattr(pipeline, "write_specialized", count)
        return builds

    def test_it_is_made_once(self, tmp_path, builds):
        path = network(tmp_path)
        first, second = (specialize(path, tmp_path / "cache", 1) for _ in range(2))
        assert (len(builds), first.path, first.op_coverage) == (1, second.path, second.op_coverage)
        assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [first.path.parent.name]

    def test_a_subprocess_makes_it_where_that_is_asked_for(self, tmp_path, builds):
        assert secret_is_persistent()
        result = specialize(network(tmp_path), tmp_path / "cache", 1, in_subprocess=True)
        assert builds == []
        assert result.path.parent.parent == tmp_path / "cache"

    def test_another_model_or_instruction_set_has_another_entry(self, tmp_path, builds, library, use_isa):
        entries = 2 if isa_of(library) == "generic" else 3
        first = specialize(network(tmp_path), tmp_path / "cache", 1)
        other = specialize(network(tmp_path, first=-1), tmp_path / "cache", 1)
        use_isa("generic")
        generic = specialize(network(tmp_path, first=-1), tmp_path / "cache", 1)
        assert len({first.path, other.path, generic.path}) == len(builds) == entries

    @pytest.mark.parametrize("damage", ["optimized.onnx", "record", "missing", "half a record"])
    def test_a_corrupt_entry_is_made_again(self, tmp_path, builds, damage):
        path = network(tmp_path)
        folder = specialize(path, tmp_path / "cache", 1).path.parent
        if damage == "missing":
            (folder / "optimized.onnx").unlink()
        elif damage == "half a record":
            (folder / "record").write_text(json.dumps({"files": {}}))
        else:
            (folder / damage).write_bytes(b"\x00" + (folder / damage).read_bytes()[1:])
        assert_same(path, specialize(path, tmp_path / "cache", 1))
        assert len(builds) == 2

    def test_a_folder_that_cannot_be_written_does_not_matter(self, tmp_path, builds):
        path = network(tmp_path)
        (tmp_path / "file").touch()
        result = specialize(path, tmp_path / "file", 1)
        assert_same(path, result)
        assert specialize(path, tmp_path / "file", 1).path == result.path
        assert len(builds) == 1
        shutil.rmtree(result.path.parent)

    def test_no_folder_is_a_temporary_one(self, tmp_path, builds):
        assert_same(network(tmp_path), specialize(network(tmp_path), None, 1))

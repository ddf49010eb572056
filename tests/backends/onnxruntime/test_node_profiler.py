"""Layers in ONNX Runtime's profile: each node of the file is in one place, with its name and its costs."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

import numpy as np
from one_graph import GraphSession, save, with_a_heavy_product
from onnx import helper

from edgevid.backends.onnxruntime.profile.events import Events, read_events
from edgevid.backends.onnxruntime.profile.origins import origins_of
from edgevid.backends.onnxruntime.profile.profiler import joined
from edgevid.onnxfile.graph import Model


def profile_of(path, runs: int = 4, skip: int = 1):
    step, finish = GraphSession(path).profiler()
    for _ in range(runs):
        step()
    return finish(skip)


def test_layers_have_the_names_of_their_weights_their_macs_and_bytes(tmp_path):
    layers = profile_of(with_a_heavy_product(tmp_path / "heavy.onnx", 64)).layers
    products = [layer for layer in layers if layer.macs]
    assert [layer.name for layer in products] == ["light", "heavy", "last"]
    assert [layer.macs for layer in products] == [64 * 16 * 64, 64**3, 64 * 64 * 4]
    assert products[1].read_bytes == 2 * 4 * 64 * 64 and products[1].written_bytes == 4 * 64 * 64
    assert {layer.ran_by for layer in layers} == {"runtime"}
    assert {layer.provider for layer in layers} == {"CPUExecutionProvider"}


def test_a_reshape_moves_no_bytes(tmp_path):
    layers = profile_of(with_a_heavy_product(tmp_path / "heavy.onnx", 16)).layers
    (reshape,) = [layer for layer in layers if layer.op == "Reshape"]
    assert (reshape.name, reshape.read_bytes, reshape.written_bytes) == ("flatten", 0, 0)


def test_the_first_runs_are_left_out(tmp_path):
    profile = profile_of(with_a_heavy_product(tmp_path / "heavy.onnx", 16), runs=5, skip=2)
    assert len(profile.runs_ms) == 3
    assert {len(layer.samples_ms) for layer in profile.layers} == {3}


def test_layers_are_inside_their_runs(tmp_path):
    profile = profile_of(with_a_heavy_product(tmp_path / "heavy.onnx", 64))
    for layer in profile.layers:
        for (start, duration), spans in zip(profile.runs_ms, layer.spans_ms):
            assert all(start <= begin and begin + took <= start + duration for begin, took in spans)
    sums = [sum(times) for times in zip(*(layer.samples_ms for layer in profile.layers))]
    assert all(total <= duration for total, (_, duration) in zip(sums, profile.runs_ms))


@pytest.mark.parametrize("bias", [["stem.conv.bias"], []])
def test_a_fused_activation_belongs_to_its_convolution_and_a_constant_is_folded(tmp_path, bias):
    weights = {
        "stem.conv.weight": np.ones((8, 3, 3, 3), np.float32),
        "stem.conv.bias": np.ones(8, np.float32),
        "two": np.array(2, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "stem.conv.weight", *bias], ["a"], "conv_1"),
        helper.make_node("Relu", ["a"], ["b"], "relu_1"),
        helper.make_node("Mul", ["two", "two"], ["four"], "constant"),
        helper.make_node("Mul", ["b", "four"], ["y"], "scaled"),
    ]
    weights = {name: array for name, array in weights.items() if bias or not name.endswith("bias")}
    path = save(tmp_path / "conv.onnx", nodes, {"x": (1, 3, 8, 8)}, {"y": (1, 8, 6, 6)}, weights)
    profile = profile_of(path)
    conv = max(profile.layers, key=lambda layer: layer.macs or 0)
    assert conv.name == "stem.conv" and conv.macs == 8 * 36 * 27
    assert {"conv_1 (Conv)", "relu_1 (Relu)"} <= set(conv.nodes)
    assert profile.not_run == {"constant (Mul)": "folded: it is constant"}


def test_each_node_of_the_file_is_in_one_place(tmp_path):
    path = with_a_heavy_product(tmp_path / "heavy.onnx", 16)
    file = Model(path.read_bytes())
    origins = origins_of(file, file)
    places = [index for members in origins.of.values() for index in members]
    assert sorted(places + origins.folded + origins.removed) == list(range(len(file.nodes)))


def test_paths_of_one_layer_share_their_beginning():
    assert joined(["a.b.shift", "a.b.conv.0"]) == "a.b: shift + conv.0"
    assert joined(["a.b"]) == "a.b"
    assert joined(["a", "b"]) == "a + b"


def test_a_file_without_runs_has_no_events(tmp_path):
    (tmp_path / "profile.json").write_text('[{"cat": "Session", "name": "session_initialization"}]')
    assert read_events(tmp_path / "profile.json", 0) == Events([], [], [])


def test_a_node_inside_a_subgraph_is_part_of_the_node_that_has_it(tmp_path):
    def event(name, ts, dur, op):
        args = {"op_name": op, "provider": "CPUExecutionProvider", "node_index": "0"}
        return f'{{"cat": "Node", "name": "{name}_kernel_time", "ts": {ts}, "dur": {dur}, "args": ' + (
            str(args).replace("'", '"') + "}"
        )

    run = '{"cat": "Session", "name": "model_run", "ts": 0, "dur": 100}'
    events = [event("inner", 11, 5, "Add"), event("loop", 10, 50, "Loop"), event("next", 60, 10, "Relu"), run]
    (tmp_path / "profile.json").write_text(f"[{', '.join(events)}]")
    found = read_events(tmp_path / "profile.json", 0)
    assert [(node.name, node.times_us) for node in found.nodes] == [("loop", [50]), ("next", [10])]

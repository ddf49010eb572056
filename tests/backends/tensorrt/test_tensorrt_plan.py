"""TensorRT-RTX's engine layer info is parsed correctly, and selects the lowering variant of each op."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import onnx_ir as ir
import pytest

from edgevid.backends.tensorrt import layer_info
from edgevid.backends.tensorrt.choose_lowering import choose_variants, subgraph_prefix
from edgevid.backends.tensorrt.layer_info import Kernel, LayerInfo, LayerInfoError, layer_info_of
from edgevid.backends.tensorrt.layer_info_worker import layers_of, nearest
from edgevid.ops import OPS
from edgevid.ops.functions import attach_functions
from edgevid.passes import run_passes
from edgevid.passes.lower import lowering

REAL = pytest.mark.skipif(
    layer_info.unavailable_reason() is not None, reason=layer_info.unavailable_reason() or ""
)

TENSOR = "{{ Name: {}, Dimensions: [{}], Strides: [1], StrideOrder: [0], Datatype: {}, Format: (Linear) x }}"
LINE = "Name: {}, LayerType: {}, Inputs: [ {}], Constants: [ {}], Outputs: [ {}], TacticName: t, StreamId: 0"


def line(name: str, kind: str, dimensions: str = "2,3", datatype: str = "Half") -> str:
    tensors = [TENSOR.format(label, dimensions, datatype) for label in ("in", "weights", "out")]
    return LINE.format(name, kind, *tensors)


def layer_info_with(*names: str, tensor_bytes: int = 8) -> LayerInfo:
    kernels = tuple(Kernel(name, "kgen", tensor_bytes) for name in names)
    return LayerInfo("a simulated builder", "8.6", kernels, 0.0)


def shifts(count: int, frames: int = 4) -> ir.Model:
    """A chain of shifts, each followed by a Relu."""
    lines, value = [], "x"
    for number in range(count):
        lines.append(
            f"s{number} = edgevid.TemporalShift <frames: int = {frames}, fold: int = 1, first: int = 1, "
            f"second: int = -1> ({value})\n            r{number} = Relu (s{number})"
        )
        value = f"r{number}"
    text = f"""<ir_version: 10, opset_import: ["" : 18, "edgevid" : 1]>
        chain (float[{frames}, 8, 4, 4] x) => (float[{frames}, 8, 4, 4] r{count - 1}) {{
            {chr(10).join(lines)}
        }}"""
    graph = ir.from_onnx_text(text)
    attach_functions(graph)
    for number, node in enumerate(graph.graph):
        node.name = f"n{number}"
        for value in node.outputs:
            value.shape, value.type = ir.Shape((frames, 8, 4, 4)), ir.TensorType(ir.DataType.FLOAT)
    return graph


def test_layers_are_read_from_the_last_listing_in_a_log():
    messages = [
        "hello",
        f"Layers:\n{line('early', 'kgen')}",
        f"Layers:\n{line('conv', 'correlation')}\n\nI/O",
    ]
    assert layers_of(messages) == [{"name": "conv", "kind": "correlation", "bytes": 2 * 2 * 3 * 2}]


def test_constants_are_not_activations_and_elements_have_their_size():
    (layer,) = layers_of(["Layers:\n" + line("a", "kgen", "10", "Float")])
    assert layer["bytes"] == 2 * 10 * 4


def test_a_log_without_a_listing_has_no_layers():
    assert layers_of(["Name: x, LayerType: kgen, Inputs: []"]) == []


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("__myl_SlicSlicConc_myl0_8", True),
        ("__myl_MoveConc_myl0_1", True),
        ("__myl_MulAddConc_myl0_1", False),
        ("__myl_MoveEtc_myl0_1", False),
        ("node_Conv_818_myl0_2", False),
    ],
)
def test_a_kernel_is_a_copy_if_its_name_has_only_copies(name, copies):
    assert Kernel(name, "kgen", 0).copies is copies


def test_layers_that_only_synchronize_streams_are_not_kernels(monkeypatch):
    layers = layers_of(["Layers:\n" + "\n".join([line("a", "kgen"), line("s", "signal"), line("w", "wait")])])
    result = json.dumps({"version": "1", "compute_capability": "8.6", "layers": layers, "seconds": 0.1})
    simulate_worker(monkeypatch, result)
    assert [kernel.name for kernel in layer_info_of(Path("m.onnx"), "8.7").kernels] == ["a"]


@pytest.mark.parametrize(
    ("capability", "sm"),
    [("5.3", 75), ("7.2", 75), ("8.7", 86), ("9.0", 89), ("11.0", 120), ("12.1", 121), ("13.0", 121)],
)
def test_the_nearest_supported_architecture_is_used(capability, sm):
    # Those of tensorrt_rtx.ComputeCapability in 1.7.
    members = ("NONE", "CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
    assert nearest(capability, members) == sm


def simulate_worker(monkeypatch, stdout: str, status: int = 0, stderr: str = "") -> None:
    """Fake the process that runs TensorRT-RTX (simulated)."""
    result = subprocess.CompletedProcess([], status, stdout, stderr)
    monkeypatch.setattr(layer_info.subprocess, "run", lambda *arguments, **options: result)
    monkeypatch.setattr(layer_info, "unavailable_reason", lambda: None)
    monkeypatch.setattr(layer_info, "version", lambda: "1")


def test_a_worker_that_dies_is_a_reason_and_not_a_number(monkeypatch):
    simulate_worker(monkeypatch, "", -6, "noise\nassertion failed")
    with pytest.raises(LayerInfoError, match="exited with status -6: assertion failed"):
        layer_info_of(Path("m.onnx"), "8.7")


def test_without_the_package_there_is_a_reason_instead_of_layer_info(monkeypatch):
    monkeypatch.setattr(layer_info, "MODULE", "tensorrt_rtx_is_not_here")
    with pytest.raises(LayerInfoError, match=r"pip install 'edgevid\[tensorrt\]'"):
        layer_info_of(Path("m.onnx"), "8.7")


def costs(by_operator: dict[str, LayerInfo], default: LayerInfo):
    """A fake build: the layer info of a file by an operator in it (simulated)."""

    def measure(path: Path, capability: str) -> LayerInfo:
        present = {node.op_type for node in ir.load(path).graph}
        return next((cost for op_type, cost in by_operator.items() if op_type in present), default)

    return measure


def finish(graph: ir.Model, variants: dict[str, str]) -> ir.Model:
    run_passes(graph, lowering(variants))
    return graph


@pytest.mark.parametrize(
    ("padded", "wins"),
    [
        (layer_info_with("__myl_Slic_myl0_0"), True),
        (layer_info_with("a", "__myl_SlicMul_myl0_0"), True),
        (layer_info_with("a", "__myl_Slic_myl0_0", tensor_bytes=7), True),
        (layer_info_with("a", "__myl_Slic_myl0_0"), False),
        (layer_info_with("a", "b", "c"), False),
    ],
    ids=["fewer kernels", "fewer copies", "fewer bytes", "a tie", "more kernels"],
)
def test_fewest_kernels_then_copies_then_bytes_win(padded, wins):
    measure = costs({"Pad": padded}, layer_info_with("a", "__myl_Slic_myl0_0"))
    graph = shifts(1)
    selection = choose_variants(graph, finish, "8.7", measure)
    default, alternative, _ = tuple(OPS["TemporalShift"].variants)
    assert selection.variants == {"TemporalShift": alternative if wins else default}
    assert len(selection.candidates) == 3
    assert len(selection.report.refused) == 2, "the rejected variants, with their costs"
    assert {node.op_type for node in graph.graph} == {"TemporalShift", "Relu"}, "measuring changes nothing"


def test_where_nothing_can_be_measured_the_first_variant_is_selected_and_the_reason_reported():
    def measure(path, capability):
        raise LayerInfoError("there is no builder")

    selection = choose_variants(shifts(1), finish, "8.7", measure)
    assert selection.variants == {"TemporalShift": next(iter(OPS["TemporalShift"].variants))}
    assert selection.report.refused == ("there is no builder",)


def test_the_measured_prefix_ends_with_the_third_op_and_outputs_what_the_rest_would_read():
    head = subgraph_prefix(shifts(5), ("TemporalShift",))
    assert [node.op_type for node in head.graph].count("TemporalShift") == 3
    assert [value.name for value in head.graph.outputs] == ["s2"]
    short = subgraph_prefix(shifts(2), ("TemporalShift",))
    assert [value.name for value in short.graph.outputs] == ["s1"]


@REAL
def test_a_shift_of_one_clip_is_one_kernel_in_a_real_plan(tmp_path):
    ir.save(finish(shifts(1), {}), tmp_path / "m.onnx")
    info = layer_info_of(tmp_path / "m.onnx", "8.7")
    assert info.label.startswith("TensorRT-RTX 1.")
    assert info.label.endswith("'s plan for SM 8.6")
    assert len(info.kernels) == 1
    assert info.copies == 0, "the Relu is in it"
    assert info.bytes >= 2 * 4 * 4 * 8 * 4 * 4


@REAL
def test_an_invalid_model_file_is_a_reason(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"not a network")
    with pytest.raises(LayerInfoError, match=r"cannot read 'm\.onnx'"):
        layer_info_of(tmp_path / "m.onnx", "8.7")


def test_the_bundle_has_the_layer_info_of_its_model_file(jetson_bundle):
    content = json.loads((jetson_bundle.path / "plan.json").read_text())
    assert content["file"] == jetson_bundle.manifest.model_file
    sums = {key: value for key, value in content.items() if key not in ("layers", "trials")}
    assert jetson_bundle.manifest.plan == sums
    if reason := layer_info.unavailable_reason():
        assert content["why_none"] == reason and content["kernels"] is None
        assert any(reason in sentence for sentence in jetson_bundle.manifest.not_run)
        pytest.skip(reason)
    assert "TensorRT-RTX" in content["plan"]
    convolutions = sum(layer["kind"] == "correlation" for layer in content["layers"])
    assert convolutions + 10 <= content["kernels"] == len(content["layers"]) < convolutions + 30
    assert 10 <= content["copies"] < content["kernels"]
    (report,) = (r for r in jetson_bundle.manifest.passes if r.name == "choose_forms")
    assert report.matched == 1
    assert all("kernels" in sentence for sentence in report.refused)

"""Every target's file is read strictly, and what it says is true of the board and used."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx.reference
import onnx_ir as ir
import pytest

from edgevid.backends import BACKENDS, backends_of
from edgevid.backends.protocol import Job
from edgevid.backends.tensorrt import layer_info
from edgevid.errors import BackendError, ExportError, TargetError
from edgevid.ops.functions import attach_functions
from edgevid.specs import Gpu, Target
from edgevid.targets import FOLDER, TARGETS, read_target

BOARD = """
title = "a board"
architecture = "aarch64"
backends = ["tensorrt"]

[device]
tensorrt = "10.3"

[gpu]
compute_capability = "12.1"
"""


def written(folder: Path, text: str):
    (folder / "board.toml").write_text(text)
    return read_target(folder / "board.toml")


@pytest.mark.parametrize("name", TARGETS)
def test_it_takes_backends_and_precisions_that_there_are(name):
    target = TARGETS[name]
    written_by_each = [set(BACKENDS[backend].precisions) for backend in target.backends]
    assert set(target.precisions) <= set().union(*written_by_each)
    assert all(precisions & set(target.precisions) for precisions in written_by_each)
    assert target.backend in target.backends and set(target.device.companions) <= set(target.backends)


@pytest.mark.parametrize("name", TARGETS)
def test_no_key_is_given_that_it_does_not_need(name):
    """A GPU and NVIDIA's software belong to TensorRT, and what repeats a default is noise."""
    target = TARGETS[name]
    assert ("tensorrt" in target.backends) == (target.gpu is not None) == bool(target.device.tensorrt)
    if target.same_as is None:
        text = (FOLDER / f"{name}.toml").read_text("utf-8")
        for table in (target.device, target.gpu):
            for field in dataclasses.fields(table) if table else ():
                is_default = getattr(table, field.name) == field.default
                assert not (is_default and f"\n{field.name} =" in text), f"{name}.toml repeats {field.name}"


def test_every_file_is_a_target():
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(TARGETS)


def test_an_alias_has_all_that_its_board_has():
    for alias in (target for target in TARGETS.values() if target.same_as):
        same = {"name": alias.name, "title": alias.title, "order": alias.order, "same_as": alias.same_as}
        assert alias == dataclasses.replace(TARGETS[alias.same_as], **same)


def test_the_gpus_are_those_of_the_boards():
    # NVIDIA's data sheets: CUDA cores by the 64 or 128 of a multiprocessor of that architecture.
    counts = {name: TARGETS[name].gpu.sm_count for name in TARGETS if name.startswith("jetson-")}
    assert counts == {
        "jetson-nano": 128 // 128,
        "jetson-xavier-nx": 384 // 64,
        "jetson-orin-nano": 1024 // 128,
        "jetson-agx-orin": 2048 // 128,
        "jetson-thor": 2560 // 128,
    }
    # CUDA programming guide, compute capabilities: the shared memory that one block can have.
    kib = {"5.3": 48, "7.2": 96, "8.7": 163, "11.0": 227}
    for board in counts:
        assert TARGETS[board].gpu.shared_kib == kib[TARGETS[board].gpu.compute_capability]


def test_a_new_gpu_needs_its_compute_capability_alone(tmp_path):
    gpu = written(tmp_path, BOARD).gpu
    assert gpu == Gpu("12.1", sm_count=64, shared_kib=99, ptx="8.0")
    assert (gpu.sm, gpu.typical, str(gpu), gpu.is_one_of_several) == (121, "12.1", "12.1", False)


def test_several_gpus_are_told_by_their_oldest(tmp_path):
    several = 'minimum_compute_capability = "7.5"'
    gpu = written(tmp_path, BOARD.replace('compute_capability = "12.1"', several)).gpu
    assert (gpu.sm, gpu.typical, str(gpu), gpu.is_one_of_several) == (75, "7.5", "7.5 or later", True)
    typical = f'{several}\ntypical_compute_capability = "8.9"'
    assert written(tmp_path, BOARD.replace('compute_capability = "12.1"', typical)).gpu.typical == "8.9"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOARD + "sm_counts = 8", "gpu.sm_counts is an unknown key"),
        (
            BOARD + "[device.gpu]\nsm_count = 8",
            "device.gpu is an unknown key",
        ),
        ("colour = 3\n" + BOARD, "colour is an unknown key"),
        (BOARD.replace("title", "titel"), "title is missing"),
        (BOARD.replace('"a board"', "8"), "title: expected str, got int"),
        (BOARD.replace('["tensorrt"]', "[]"), "a target has at least one backend"),
        (BOARD.replace("aarch64", "riscv"), "architecture must be one of x86_64, aarch64, any"),
        (BOARD.replace('"12.1"', '"Blackwell"'), "gpu.compute_capability must be a text such as '8.7'"),
        (BOARD.replace('"12.1"', "12.1"), "gpu.compute_capability: expected str, got float"),
        (BOARD + 'minimum_compute_capability = "7.5"', "give either compute_capability or minimum_"),
        (BOARD.replace("compute_cap", "typical_compute_cap"), "give either compute_capability or minimum_"),
        (BOARD + "sm_count = 0", "gpu.sm_count must be above 0"),
        (BOARD + 'sm_count = "8"', "gpu.sm_count: expected int, got str"),
        (BOARD + 'ptx = "new"', "gpu.ptx must be a text such as '8.7'"),
        (BOARD.replace('"10.3"', '"ten"'), "device.tensorrt must be a version such as '10.3'"),
        ('precisions = ["fp8"]\n' + BOARD, "precisions[0] must be one of fp32, fp16, int8"),
        ('same_as = "jetsen"\n' + BOARD, "same_as: there is no jetsen.toml among"),
        ("title = ", "Invalid value"),
    ],
)
def test_a_mistake_in_a_file_is_told_in_one_line_with_its_name_and_the_key(text, words, tmp_path):
    with pytest.raises(TargetError) as error:
        written(tmp_path, text)
    message = str(error.value)
    assert message.startswith("board.toml: ") and words in message and "\n" not in message
    assert "targets/README.md" in message


def test_a_file_of_another_kind_is_no_target(tmp_path):
    (tmp_path / "board.json").write_text("{}")
    with pytest.raises(TargetError, match=r"board\.json: a target is described by a \.toml file"):
        read_target(tmp_path / "board.json")


def test_each_key_is_explained():
    text = (FOLDER / "README.md").read_text("utf-8")
    target = TARGETS["gpu"]
    keys = [
        field.name
        for field in dataclasses.fields(target)
        if field.name not in ("name", "device", "gpu", "power")
    ]
    for table in ("device", "gpu", "power"):
        keys += [f"{table}.{field.name}" for field in dataclasses.fields(getattr(target, table))]
    assert [key for key in keys if f"`{key}`" not in text] == []
    assert text.count("\n| `") == len(keys)


def shift_and_convolution() -> ir.Model:
    """A temporal shift and a 1x1 convolution: four frames of 16 channels, 6x6 pixels."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18, "edgevid" : 1]>
        tiny (float[4, 16, 6, 6] x) => (float[4, 24, 6, 6] y) {
            s = edgevid.TemporalShift <frames: int = 4, fold: int = 2, first: int = 1, second: int = -1> (x)
            c = Conv <strides = [1, 1], group = 1> (s, w, b)
            y = Relu (c)
        }"""
    )
    weights = np.random.default_rng(0).standard_normal((24, 16, 1, 1), dtype=np.float32) / 4
    for name, array in (("w", weights), ("b", weights[:, 0, 0, 0])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    graph = ir.from_proto(model)
    attach_functions(graph)
    for number, (node, channels) in enumerate(zip(graph.graph, (16, 24, 24))):
        node.name = f"n{number}"
        node.outputs[0].shape = ir.Shape((4, channels, 6, 6))
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return graph


def compiled(target: Target, backend: str, folder: Path):
    """What a backend makes for a target; a skip where the tool that it needs is not here."""
    graph = shift_and_convolution()
    x = np.random.default_rng(1).standard_normal((4, 16, 6, 6), dtype=np.float32)
    y = onnx.reference.ReferenceEvaluator(ir.to_proto(graph)).run(None, {"x": x})[0]
    precision = next(name for name in target.precisions if name in BACKENDS[backend].precisions)
    job = Job("tiny", target, precision, (), {"x": x}, {"y": y})
    try:
        return BACKENDS[backend].compile(graph, job, folder)
    except BackendError as reason:
        pytest.skip(str(reason))


PAIRS = [
    (name, backend) for name in TARGETS if not TARGETS[name].same_as for backend in backends_of(TARGETS[name])
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_a_network_is_compiled_for_it_by_each_of_its_backends(name, backend, tmp_path, monkeypatch):
    monkeypatch.setattr(layer_info, "MODULE", "left_out_to_save_time")
    made = compiled(TARGETS[name], backend, tmp_path)
    assert (tmp_path / made.model_file).is_file()
    assert made.kernels == () or "TemporalShift" in made.kernels[0]


@pytest.mark.slow
def test_a_board_with_a_new_gpu_needs_no_python(tmp_path):
    """Its compute capability is in no table: kernels are counted, and fused, for it as for any other."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    board = written(tmp_path, BOARD.replace("12.1", "13.4") + 'ptx = "9.9"')
    made = compiled(dataclasses.replace(board, precisions=("fp16",)), "tensorrt", bundle)
    assert "COMPUTE_CAPABILITY=13.4" in (bundle / "bundle.env").read_text()
    assert made.plan["target_compute_capability"] == "13.4"
    assert made.plan["kernels"] or "pip install" in made.plan["why_none"]
    fused = (bundle / "model_fp16.fused.onnx").is_file()
    assert fused or any("Triton is not installed" in sentence for sentence in made.not_run)


@pytest.mark.parametrize(
    ("lacking", "key"), [('tensorrt = "10.3"', "device.tensorrt"), ('compute_capability = "12.1"', "gpu")]
)
def test_what_tensorrt_needs_of_a_target_is_told_by_its_key(lacking, key, tmp_path):
    board = written(tmp_path, BOARD.replace(lacking, "").replace("[gpu]", "" if key == "gpu" else "[gpu]"))
    with pytest.raises(ExportError, match=rf"board has no {key}.*add it to board\.toml"):
        compiled(dataclasses.replace(board, precisions=("fp16",)), "tensorrt", tmp_path)

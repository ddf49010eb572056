"""A bundle that a stranger made: nothing in it leads out, and looking at it runs none of its code."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from one_bundle import CLIP, as_made_for, rewrite, write_bundle

import edgevid
from edgevid import parity
from edgevid.backends.tvm import backend as tvm_backend
from edgevid.bundle.bundle import LABELS, Bundle, write_manifest
from edgevid.errors import BackendError, BundleError

KINDS = ("cpu", "stream", "int8", "jetson", "mobile", "tvm")
COMMANDS = (["run", "--video", "x.mp4"], ["inspect"], ["bench"])


@pytest.fixture
def secret(tmp_path) -> Path:
    """A file outside the bundle, which holds what nobody is to read."""
    path = tmp_path / "secret"
    path.write_bytes(np.ones(4, np.float32).tobytes())
    return path


def name_a_file(path: str):
    def attack(folder: Path, model: str, secret: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][path.format(secret=secret)] = "0" * 64
        rewrite(folder, manifest)

    return attack


def link_the_model(folder: Path, model: str, secret: Path) -> None:
    (folder / model).unlink()
    (folder / model).symlink_to(secret)


def link_the_manifest(folder: Path, model: str, secret: Path) -> None:
    os.rename(folder / "manifest.json", secret)
    (folder / "manifest.json").symlink_to(secret)


def link_a_folder(folder: Path, model: str, secret: Path) -> None:
    (folder / "check").mkdir()
    (folder / "check" / "input.bin").write_bytes(b"1234")
    write_manifest(folder, Bundle.open(folder).manifest)
    os.rename(folder / "check", secret.parent / "check")
    (folder / "check").symlink_to(secret.parent / "check")


def pipe_for_the_model(folder: Path, model: str, secret: Path) -> None:
    (folder / model).unlink()
    os.mkfifo(folder / model)


def pipe_for_the_manifest(folder: Path, model: str, secret: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def folder_for_the_model(folder: Path, model: str, secret: Path) -> None:
    (folder / model).unlink()
    (folder / model).mkdir()


ATTACKS = {
    "a name with ..": (name_a_file("../secret"), "is not the path of a file in the bundle's own folder"),
    "an absolute name": (name_a_file("{secret}"), "is not the path of a file in the bundle's own folder"),
    "a name with a backslash": (name_a_file("..\\secret"), "has a backslash"),
    "a name with a drive": (name_a_file("C:secret"), "a colon"),
    "a link for a model": (link_the_model, "is a link"),
    "a link for a manifest": (link_the_manifest, "is a link"),
    "a link for a folder": (link_a_folder, "is a link"),
    "a pipe for a model": (pipe_for_the_model, "is not a regular file"),
    "a pipe for a manifest": (pipe_for_the_manifest, "is not a regular file"),
    "a folder for a model": (folder_for_the_model, "is not a regular file"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_name_and_no_link_leads_out(refuses, tmp_path, secret, kind, attack):
    manifest = as_made_for(kind)
    folder = write_bundle(tmp_path / "b", manifest).path
    do, says = ATTACKS[attack]
    do(folder, manifest.model_file, secret)
    for command in COMMANDS:
        refuses([*command, folder], says)


def test_a_hard_link_is_a_file_like_others(tmp_path):
    folder = write_bundle(tmp_path / "b").path
    os.link(folder / "model.onnx", tmp_path / "same")
    Bundle.open(folder).check_files()


def onnx_model(place: str, location: str) -> bytes:
    """A model with a tensor of four numbers, at ``place`` in the file, that lies in the file ``location``."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def external() -> TensorProto:
        tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        return tensor

    clip = helper.make_tensor_value_info("clip", TensorProto.FLOAT, [1, 4, 3, 64, 64])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5])
    graph = helper.make_graph([], "network", [clip], [logits])
    model = helper.make_model(graph)
    constant = helper.make_node("Constant", [], ["w"])
    if place == "initializer":
        model.graph.initializer.append(external())
    elif place == "sparse initializer":
        model.graph.sparse_initializer.add().values.CopyFrom(external())
    elif place == "training":
        model.training_info.add().initialization.initializer.append(external())
    elif place == "function":
        constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(external())
        model.functions.add(name="f").node.append(constant)
    elif place == "subgraph":
        inner = helper.make_graph([], "inner", [], [], [external()])
        model.graph.node.append(helper.make_node("If", ["clip"], ["w"], then_branch=inner, else_branch=inner))
    else:
        attribute = constant.attribute.add(name="value")
        tensors = {
            "attribute": attribute.t,
            "attribute of tensors": attribute.tensors.add(),
            "sparse attribute": attribute.sparse_tensor.indices,
            "attribute of sparse tensors": attribute.sparse_tensors.add().values,
        }
        tensors[place].CopyFrom(external())
        model.graph.node.append(constant)
    return model.SerializeToString()


PLACES = (
    "initializer",
    "sparse initializer",
    "training",
    "function",
    "subgraph",
    "attribute",
    "attribute of tensors",
    "sparse attribute",
    "attribute of sparse tensors",
)


@pytest.mark.parametrize("place", PLACES)
def test_an_external_tensor_stays_in_the_bundle_wherever_it_stands(tmp_path, secret, place):
    with pytest.raises(BundleError, match=r"'model.onnx' reads the file '../secret', which is not in"):
        edgevid.open(bundle_of_model(tmp_path / "b", onnx_model(place, "../secret")))


@pytest.mark.parametrize("location", ["{secret}", "other", "*/_ORT_MEM_ADDR_/*", "cache/x", "", "..\\secret"])
@pytest.mark.parametrize("kind", ["cpu", "stream", "int8", "jetson"])
def test_an_external_tensor_is_in_a_file_of_the_manifest(refuses, tmp_path, secret, kind, location):
    model = onnx_model("initializer", location.format(secret=secret))
    folder = bundle_of_model(tmp_path / "b", model, kind)
    (folder / "other").write_bytes(secret.read_bytes())
    for command in COMMANDS[:2]:
        refuses([*command, folder], "which is not in the manifest")


def test_bench_refuses_an_external_tensor_too(refuses, tmp_path, secret):
    folder = bundle_of_model(tmp_path / "b", onnx_model("initializer", "../secret"))
    refuses(["bench", folder, "--scenario", "offline"], "which is not in the manifest")


@pytest.mark.slow  # it may compile the kernels
def test_a_tensor_in_a_listed_file_is_taken(tmp_path):
    folder = bundle_of_model(tmp_path / "b", onnx_model("initializer", "weights"), weights=bytes(16))
    with pytest.raises(BackendError, match="ONNX Runtime"):  # it is no network, but was given to the runtime
        edgevid.open(folder)


def bundle_of_model(folder: Path, model: bytes, kind: str = "cpu", **files: bytes) -> Path:
    manifest = as_made_for(kind)
    return write_bundle(folder, manifest, **{manifest.model_file: model, **files}).path


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (b"no model", "not a protobuf message"),
        (b"\x3a\xff\xff\xff\xff\x0f", "not a protobuf message"),
        (b"\xba\x80\x80\x80\x10\x02\x08\x01", "not a protobuf message"),
        (b"\x00\x00\x00\x00ORTM", "not a protobuf message"),
        pytest.param(b"", "cannot open", marks=pytest.mark.slow),  # it may compile the kernels
    ],
)
def test_what_is_no_model_is_one_line(refuses, tmp_path, model, says):
    refuses(["run", bundle_of_model(tmp_path / "b", model), "--video", "x.mp4"], says)


def test_graphs_in_graphs_without_end_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx")

    data = b""
    for _ in range(5000):
        attribute = b"\x32" + varint(len(data)) + data  # a graph in an attribute
        node = b"\x2a" + varint(len(attribute)) + attribute
        data = b"\x0a" + varint(len(node)) + node
    assert onnx.AttributeProto.DESCRIPTOR.fields_by_name["g"].number == 0x32 >> 3
    model = b"\x3a" + varint(len(data)) + data
    with pytest.raises(BundleError, match="nested too deeply"):
        edgevid.open(bundle_of_model(tmp_path / "b", model))


def varint(value: int) -> bytes:
    return (bytes([value & 0x7F | 0x80]) + varint(value >> 7)) if value > 0x7F else bytes([value])


def test_an_operator_that_loads_code_is_refused(tmp_path):
    helper = pytest.importorskip("onnx.helper")
    node = helper.make_node(
        "EPContext", ["clip"], ["logits"], domain="com.microsoft", ep_cache_context="x.so"
    )
    model = helper.make_model(helper.make_graph([node], "network", [], []))
    with pytest.raises(BundleError, match="its operator EPContext loads compiled code"):
        edgevid.open(bundle_of_model(tmp_path / "b", model.SerializeToString()))


def test_a_model_under_the_name_of_another_format_is_refused(tmp_path):
    """ONNX Runtime goes by the content where the name says nothing, and only ``.onnx`` is looked through."""
    for name in ("model.bin", "model.ort"):
        manifest = replace(CLIP, model_file=name, artefacts=(replace(CLIP.artefacts[0], file=name),))
        model = onnx_model("initializer", "../secret")
        with pytest.raises(BackendError, match="does not match its suffix"):
            edgevid.open(write_bundle(tmp_path / name, manifest, **{name: model}).path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"frames": 8, "inputs": [{"name": "clip", "shape": [1, 8, 3, 64, 64]}]},
            r"takes 'clip' of shape \(1, 4,",
        ),
        (
            {"inputs": [{"name": "video", "shape": [1, 4, 3, 64, 64]}]},
            "its model takes clip and returns logits",
        ),
        ({"outputs": [{"name": "scores", "shape": [1, 5]}]}, "its manifest has clip and scores"),
    ],
)
def test_a_manifest_of_another_network_is_refused(clip_bundle, tmp_path, changes, says):
    folder = shutil.copytree(clip_bundle.path, tmp_path / "copy")
    rewrite(folder, {**json.loads((folder / "manifest.json").read_text()), **changes})
    with pytest.raises(BundleError, match=says):
        edgevid.open(folder)


def test_a_model_that_fails_when_it_runs_is_one_line(clip_bundle, monkeypatch):
    session = edgevid.open(clip_bundle.path)
    monkeypatch.setattr(session._runner, "run", lambda inputs: np.zeros((2, 3)).reshape(5))
    with pytest.raises(BackendError, match="fails when it runs: cannot reshape"):
        session.run(np.zeros((1, 4, 3, 64, 64), np.float32))


@pytest.mark.parametrize("labels", [b"a\nb\n", b"a\nb\nc\nd\n\xff\n", b"a\nb\nc\nd\n\x1b]0;title\x07\n"])
def test_labels_are_text_and_as_many_as_classes(tmp_path, labels):
    folder = write_bundle(tmp_path / "b", replace(CLIP, labels="mine"), **{LABELS: labels}).path
    with pytest.raises(BundleError, match=r"labels.txt"):
        edgevid.open(folder)


def bomb(path: Path) -> None:
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("clip.npy", "w") as file:
        for _ in range((parity.MAX_BYTES >> 24) + 1):
            file.write(bytes(1 << 24))


def pickled(path: Path) -> None:
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(path.parent / "was here"),)

    np.savez(path, clip=np.array([Attack()], dtype=object))


EXAMPLES = {
    "a pickle": pickled,
    "a zip bomb": bomb,
    "no archive": lambda path: path.write_bytes(b"PK no archive"),
    "an empty archive": lambda path: np.savez(path),
    "texts": lambda path: np.savez(path, clip=np.array(["x"])),
    "a broken array": lambda path: zipfile.ZipFile(path, "w").writestr("clip.npy", b"\x93NUMPY"),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_numbers_and_not_too_many(tmp_path, example):
    EXAMPLES[example](tmp_path / "parity.npz")
    with pytest.raises(BundleError, match="cannot be read"):
        parity.load(tmp_path)
    assert not (tmp_path / "was here").exists()


def test_inspect_tells_native_code_and_does_not_run_it(run_edgevid, tmp_path, monkeypatch):
    folder = write_bundle(tmp_path / "b", as_made_for("tvm"), **{"build.sh": b"rm -rf /"}).path
    (folder / "tiny.fp16.engine").write_bytes(b"code")
    monkeypatch.setattr(tvm_backend, "open_model", lambda *_: pytest.fail("the library was opened"))
    result = run_edgevid("inspect", folder)
    assert result.status == 0, result.err
    assert "contains native code: model.so; opening this bundle runs it" in result.out
    assert "contains native code: build.sh; runs when you start it" in result.out
    assert "tiny.fp16.engine" in result.out and "it is not in the manifest" in result.out
    native_code = json.loads(run_edgevid("inspect", folder, "--json").out)["native_code"]
    assert list(native_code) == ["build.sh", "model.so", "tiny.fp16.engine"]


def test_a_bundle_without_code_says_so(run_edgevid, clip_bundle):
    assert json.loads(run_edgevid("inspect", clip_bundle.path, "--json").out)["native_code"] == {}
    assert "native code" not in run_edgevid("inspect", clip_bundle.path).out


@pytest.mark.parametrize("content", ["[]", "{", '{"layers": NaN, "a": 1, "a": 2}'])
def test_a_plan_that_is_no_object_is_refused(refuses, tmp_path, content):
    folder = write_bundle(tmp_path / "b", as_made_for("jetson"), **{"plan.json": content.encode()}).path
    refuses(["inspect", folder], "plan.json")

"""A manifest is believed when it is as it was written, and when every key, type and value can be right."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from one_bundle import CLIP, PARITY, STREAM, rewrite, write_bundle
from one_edit import edit

from edgevid.bundle.bundle import Bundle
from edgevid.errors import BundleError
from edgevid.specs import SCHEMA_VERSION, Artefact


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_bundle(tmp_path / "b").path


def content(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as error:
        Bundle.open(folder)
    message = str(error.value)
    assert "\n" not in message
    return message


def put(value, path: str, new):
    """A copy of a JSON value with ``new`` at a path such as ``preprocessing.std.1``."""
    key, _, rest = path.partition(".")
    key = int(key) if isinstance(value, list) else key
    changed = list(value) if isinstance(value, list) else dict(value)
    changed[key] = put(value[key], rest, new) if rest else new
    return changed


@pytest.mark.parametrize("manifest", [CLIP, STREAM])
def test_a_manifest_is_read_as_it_was_written(tmp_path, manifest):
    bundle = write_bundle(tmp_path / "b", manifest)
    assert replace(bundle.manifest, files={}) == manifest


def test_what_a_tool_said_in_colors_can_be_read_again(tmp_path):
    said = replace(
        CLIP, not_run=("nvcc: \x1b[31merror\x1b[0m",), weights=replace(CLIP.weights, source="\udcff.pth")
    )
    manifest = write_bundle(tmp_path / "b", said).manifest
    assert (manifest.not_run, manifest.weights.source) == (("nvcc: ?[31merror?[0m",), "?.pth")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils are not installed")
def test_a_device_without_edgevid_can_check_the_manifest(folder):
    subprocess.run(["sha256sum", "-c", "manifest.sha256"], cwd=folder, check=True, capture_output=True)
    (folder / "manifest.json").write_text("{}")
    changed = subprocess.run(["sha256sum", "-c", "manifest.sha256"], cwd=folder, capture_output=True)
    assert changed.returncode == 1


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("frames", -8, "frames must be from 1"),
        ("frames", "8", "frames: expected int, got str"),
        ("frames", 8.5, "frames: expected int, got float"),
        ("frames", True, "frames: expected int, got bool"),
        ("frames", 5, "inputs[0].shape[1] is 4, but frames is 5"),
        ("classes", 6, "outputs[0].shape[1] is 5, but classes is 6"),
        ("macs", -1, "macs must be at least 0"),
        ("streaming", 1, "streaming: expected bool, got int"),
        ("streaming", True, "inputs[0].shape has 5 axes, which is not a frame"),
        ("precision", "fp64", "precision must be one of fp32"),
        ("precision", "fp16", "precision is fp16, but that of model_file is fp32"),
        ("model", "", "model must be a name"),
        ("model", "tsm\x1b[2J", "model must have no control characters"),
        ("model_file", "other.onnx", "model_file is not one of the artefacts"),
        ("labels", "kinetics400", "labels and the file labels.txt"),
        ("preprocessing.std.1", 0, "preprocessing.std[1] must be above 0"),
        ("preprocessing.std.1", -0.2, "preprocessing.std[1] must be above 0, not -0.2"),
        ("preprocessing.std.1", float("nan"), "preprocessing.std[1] must be a finite number"),
        ("preprocessing.mean", [0.5, 0.5], "preprocessing.mean: expected array of length 3, got 2"),
        ("preprocessing.mean.2", "0.5", "preprocessing.mean[2]: expected float, got str"),
        ("preprocessing.mean.2", float("-inf"), "preprocessing.mean[2] must be a finite number"),
        ("preprocessing.color", "rgb", "preprocessing.color must be one of RGB, BGR"),
        ("preprocessing.sampling", "random", "preprocessing.sampling must be one of segments, dense"),
        ("preprocessing.crop", 0, "preprocessing.crop must be from 1"),
        ("preprocessing.crop", 32, "inputs[0].shape[4] is 64, but preprocessing.crop is 32"),
        ("preprocessing.short_side", 10**9, "preprocessing.short_side must be from 1 to 32768"),
        ("preprocessing", None, "preprocessing: expected object, got null"),
        ("inputs", [], "inputs must be one tensor"),
        ("inputs.0.shape.3", 0, "inputs[0].shape[3] must be from 1"),
        ("inputs.0.shape.3", 1.5, "inputs[0].shape[3]: expected int | str, got float"),
        ("inputs.0.shape", [1, 4], "inputs[0].shape has 2 axes"),
        ("inputs.0.dtype", "complex", "inputs[0].dtype must be one of float32"),
        ("outputs.0.name", "clip", 'the name "clip" twice'),
        ("outputs.0.shape", [7, 5], "outputs[0].shape is [7, 5], which is not a row for each clip"),
        ("outputs.0.shape", [5], "outputs[0].shape is [5], which is not a row for each clip"),
        ("passes.0.matched", -1, "passes[0].matched must be at least 0"),
        ("parity.tolerance", 0, "parity.tolerance must be above 0"),
        ("parity.max_rel", 0.5, "parity differs from that of model_file"),
        ("weights.sha256", "12ab", "weights.sha256 must be a SHA-256"),
        ("artefacts.0.file", "other.onnx", "artefacts[0].file is not one of the bundle's files"),
        ("tools.edgevid", 1, "tools[...]: expected str, got int"),
        ("calibration", {"videos": 1}, "calibration.clips is missing"),
        ("plan", {"kernels": "many"}, "plan.kernels: expected int | null, got str"),
        ("preprocessing.gamma", 2.2, "preprocessing.gamma is an unknown key"),
        ("plan", {"speed": 1}, "plan.speed is an unknown key"),
        ("extra", 1, "extra is an unknown key"),
        ("schema", "2", "schema: expected int, got str"),
        ("macs", 10**30, "a number has more than 18 digits"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_with_its_key(folder, path, value, says):
    rewrite(folder, put(content(folder), path, value))
    assert says in refusal(folder)


@pytest.mark.parametrize(
    "key", [key for key, value in asdict(CLIP).items() if key in ("model", "inputs", "parity")]
)
def test_a_missing_key_is_named(folder, key):
    rewrite(folder, {name: value for name, value in content(folder).items() if name != key})
    assert f"{key} is missing" in refusal(folder)


@pytest.mark.parametrize("key", ["short_side", "crop", "mean", "std", "color", "sampling"])
def test_no_default_takes_the_place_of_a_missing_preprocessing(folder, key):
    edited = content(folder)
    del edited["preprocessing"][key]
    rewrite(folder, edited)
    assert f"preprocessing.{key} is missing" in refusal(folder)


@pytest.mark.parametrize("name", ["state_0", "logits"])
def test_two_tensors_of_a_name_are_refused(tmp_path, name):
    folder = write_bundle(tmp_path / "b", STREAM).path
    rewrite(folder, put(content(folder), "states.0.output", name))
    assert f'the name "{name}" twice' in refusal(folder)


def test_a_state_without_a_stream_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "b", STREAM).path
    rewrite(folder, put(content(folder), "streaming", False))
    assert "streaming is false, but there are states" in refusal(folder)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cannot be read"),
        (b"not json", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"frames": 1, "frames": 2}', 'the key "frames" occurs twice'),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[1]", "the document: expected object, got array"),
        (b"null", "the document: expected object, got null"),
        (b"{}", "model is missing"),
        (b'{"frames": ' + b"9" * 5000 + b"}", "more than 18 digits"),
        (b'{"model": "\\ud800"}', "is missing"),
        (b" " * ((16 << 20) + 1), "larger than 16 MiB"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(folder, data, says):
    rewrite(folder, data)
    assert says in refusal(folder)


def test_another_schema_is_told_before_anything_else(folder):
    rewrite(folder, {"schema": SCHEMA_VERSION + 1, "frames": "many", "later": 1})
    assert "update it" in refusal(folder)
    (folder / "manifest.json").write_text('{"schema": 1, "model": "tsm"}')
    (folder / "manifest.sha256").unlink()
    assert "was written by an older edgevid (schema 1" in refusal(folder)


@pytest.mark.parametrize(
    "line",
    ["", "{hash}", "{hash}  other.json\n", "{hash}  manifest.json\nmore\n", "{zeros}  manifest.json\n"],
)
def test_a_hash_that_is_none_of_the_manifest_is_noticed(folder, line):
    right = (folder / "manifest.sha256").read_text().split()[0]
    (folder / "manifest.sha256").write_text(line.format(hash=right, zeros="0" * 64))
    assert "was changed after the export" in refusal(folder)


def test_a_bundle_without_the_hash_of_its_manifest_is_refused(folder):
    (folder / "manifest.sha256").unlink()
    assert "lacks its file 'manifest.sha256'" in refusal(folder)


def test_random_edits_are_all_noticed_and_never_a_traceback(tmp_path):
    """A small share of what was tried by hand: 1,000 of each, see CHANGELOG."""
    choose = random.Random(0)
    accepted = 0
    for manifest in (CLIP, STREAM):
        folder = write_bundle(tmp_path / str(manifest.streaming), manifest).path
        text = (folder / "manifest.json").read_text()
        hash_line = (folder / "manifest.sha256").read_text()
        for _ in range(60):
            data, _ = edit(text, choose)
            (folder / "manifest.json").write_bytes(data)
            (folder / "manifest.sha256").write_text(hash_line)
            refusal(folder)
            rewrite(folder, data)
            try:
                Bundle.open(folder)
            except BundleError as error:
                assert "\n" not in str(error)
                accepted += 1
    assert accepted > 60, "most edits make it impossible, not only other than it was"


def test_a_manifest_of_two_files_of_a_name_is_refused(tmp_path):
    twice = (*CLIP.artefacts, Artefact("model.onnx", "fp32", "another", "onnxruntime", PARITY))
    with pytest.raises(BundleError, match="artefacts name a file twice"):
        write_bundle(tmp_path / "b", replace(CLIP, artefacts=twice))

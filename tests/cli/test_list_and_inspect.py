"""``edgevid list`` and ``edgevid inspect`` describe what exists, as text and as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from edgevid.zoo import MODELS


@pytest.mark.parametrize("kind", ["models", "backends", "targets"])
def test_lists_are_printed_as_a_table_and_as_json(run_edgevid, kind):
    rows = json.loads(run_edgevid("list", kind, "--json").out)[kind]
    table = run_edgevid("list", kind).out
    assert rows
    for row in rows:
        assert row["name"] in table


def test_every_model_of_the_registry_is_listed(run_edgevid):
    rows = json.loads(run_edgevid("list", "models", "--json").out)["models"]
    assert [row["name"] for row in rows] == list(MODELS)


def test_verbose_tells_what_each_model_is_made_of(run_edgevid):
    text = run_edgevid("list", "models", "--verbose").out
    for words in (
        "tsm_r50",
        "24.33 M",
        "32.70 G",
        "TemporalShift x16",
        "the whole clip",
        "74.1 %",
        "ICCV 2019",
    ):
        assert words in text
    rows = {row["name"]: row for row in json.loads(run_edgevid("list", "models", "--json").out)["models"]}
    assert rows["tsm_r50"]["parameters"] == 24_327_632
    assert rows["tsm_r50"]["temporal_ops"] == {"TemporalShift": 16}
    assert rows["tsm_r50_online"]["causal"] is True


def test_what_an_export_can_leave_free_is_listed_with_the_layer_that_holds_a_number(run_edgevid):
    rows = {row["name"]: row for row in json.loads(run_edgevid("list", "models", "--json").out)["models"]}
    assert rows["tsm_mbv2"]["dynamic"] == ["batch", "frames", "size"]
    assert rows["c3d"]["dynamic"] == ["batch"]
    assert rows["channelnet_v3"]["dynamic"] == ["batch"]
    assert rows["channelnet_v3"]["fixed"] == {"size": "classifier (VolumeConv)"}
    assert "no frames: backbone (C3D)" in run_edgevid("list", "models", "--verbose").out


def test_verbose_is_for_models(refuses):
    refuses(["list", "targets", "--verbose"], "--verbose is only for models")


def test_the_contracts_targets_are_all_there(run_edgevid):
    rows = json.loads(run_edgevid("list", "targets", "--json").out)["targets"]
    assert {row["name"] for row in rows} >= {
        "cpu", "gpu", "jetson", "jetson-nano", "jetson-xavier-nx", "jetson-orin-nano", "jetson-agx-orin",
        "jetson-thor", "mobile", "android-arm64", "raspberry-pi-5",
    }  # fmt: skip


def test_an_unknown_list_is_refused(refuses):
    refuses(["list", "gadgets"], "gadgets", "edgevid list --help")


def test_inspect_shows_the_network_its_states_and_passes(run_edgevid, stream_bundle):
    text = run_edgevid("inspect", stream_bundle.path).out
    for words in (
        "tsm_mbv2_online",
        "state_9",
        "next_state_9",
        "backbone.features.3.shift",
        "fold_batch_norm",
    ):
        assert words in text


def test_inspect_says_what_was_not_tried(run_edgevid, jetson_bundle):
    assert "engine build" in run_edgevid("inspect", jetson_bundle.path).out


def test_verify_runs_every_model_file(run_edgevid, jetson_bundle):
    result = run_edgevid("inspect", jetson_bundle.path, "--verify", "--json")
    assert result.status == 0
    verified = json.loads(result.out)["verified"]
    assert [check["file"] for check in verified] == ["model_fp32.onnx", "model_fp16.onnx"]
    assert all(check["parity"]["ok"] for check in verified)


def test_verify_needs_neither_torch_nor_onnx(clip_bundle, stream_bundle):
    """As on a device, where ``pip install edgevid`` brings what runs a bundle and not what exports one."""
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'onnx', 'onnx_ir', 'onnxscript', 'safetensors'):\n"
        "            raise ModuleNotFoundError(name, name=name.split('.')[0])\n"
        "sys.meta_path.insert(0, Block())\n"
        "from edgevid.cli import main\n"
        "main(['inspect', sys.argv[1], '--verify'])\n"
    )
    for bundle in (clip_bundle, stream_bundle):
        command = [sys.executable, "-c", code, str(bundle.path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        assert "equal to PyTorch" in result.stdout


def test_verify_notices_a_changed_byte(refuses, clip_bundle, tmp_path):
    copy = shutil.copytree(clip_bundle.path, tmp_path / "copy")
    with open(copy / "model.weights", "r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    refuses(["inspect", copy, "--verify"], "'model.weights' was changed")


def test_verify_answers_no_when_an_intact_bundle_computes_something_else(run_edgevid, clip_bundle, tmp_path):
    """As on a device whose runtime is wrong: the expected output is changed, and the hash with it."""
    from edgevid import parity
    from edgevid.bundle import bundle

    copy = shutil.copytree(clip_bundle.path, tmp_path / "copy")
    clip, expected = parity.load(copy)
    parity.save(copy, clip, {name: (array * 1.01).astype(np.float32) for name, array in expected.items()})
    (copy / "manifest.json").unlink()
    bundle.write_manifest(copy, clip_bundle.manifest)
    result = run_edgevid("inspect", copy, "--verify")
    assert result.status == 1
    assert "NOT EQUAL" in result.out


def test_a_missing_bundle_and_a_missing_file_are_refused(refuses, clip_bundle, tmp_path):
    refuses(["inspect", tmp_path / "nowhere"], "there is no bundle")
    copy = shutil.copytree(clip_bundle.path, tmp_path / "copy")
    (copy / "parity.npz").unlink()
    refuses(["inspect", copy], "lacks its file 'parity.npz'")


def test_a_bundle_of_a_newer_schema_is_refused(refuses, clip_bundle, tmp_path):
    copy = shutil.copytree(clip_bundle.path, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    for command in (["inspect"], ["bench"], ["run", "--video", "x.mp4"]):
        refuses([*command, copy], "schema 99", "update it")


def test_inspect_prints_a_receipt_for_each_temporal_op(run_edgevid, clip_bundle):
    result = run_edgevid("inspect", clip_bundle.path, "--json")
    receipt = json.loads(result.out)["receipt"]
    assert len(receipt) == 10
    assert receipt[0]["name"] == "backbone.features.3.shift"
    assert {op["flops"] for op in receipt} == {0}
    for op in receipt:
        # Without a compiler there is no kernel, and the receipt says so.
        assert op["kernel"] or op["reason"]
        if op["kernel"]:
            assert op["bytes_after"] == 0 < op["bytes_before"]
    assert "kernel on this machine" in run_edgevid("inspect", clip_bundle.path).out

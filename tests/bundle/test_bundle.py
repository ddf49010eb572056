"""A bundle says everything of itself, notices damage, and is written as a whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from one_bundle import changed_bytes_are_noticed, rewrite
from tiny_network import Tiny
from warm_process import WarmPython

import edgevid
from edgevid import parity
from edgevid.bundle import bundle as bundles
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BundleError, ParityError
from edgevid.session import Session
from edgevid.specs import SCHEMA_VERSION

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(clip_bundle, tmp_path):
    return Bundle.open(shutil.copytree(clip_bundle.path, tmp_path / "copy"))


def edit_manifest(bundle: Bundle, **values) -> None:
    rewrite(bundle.path, {**json.loads((bundle.path / "manifest.json").read_text()), **values})


def test_the_manifest_describes_the_network(clip_bundle):
    manifest = clip_bundle.manifest
    assert (manifest.model, manifest.target, manifest.backend) == ("tsm_mbv2", "cpu", "onnxruntime")
    assert manifest.inputs[0].shape == (1, 4, 3, 64, 64)
    assert manifest.outputs[0].shape == (1, 5)
    assert manifest.weights.source == "random (seed 0)"
    assert manifest.preprocessing.crop == 64
    assert manifest.parity.ok
    assert manifest.kernels == ("TemporalShift (portable function) x10",)
    assert {report.name: report.matched for report in manifest.passes}["fold_batch_norm"] == 52
    assert manifest.tools["torch"].startswith("2.")


def test_states_are_listed_with_the_op_that_they_belong_to(stream_bundle):
    states = stream_bundle.manifest.states
    assert len(states) == 10
    assert states[0].shape == (1, 3, 16, 16)
    assert states[0].op == "backbone.features.3.shift"
    assert {state.dtype for state in states} == {"float32"}
    assert {state.initial for state in states} == {0.0}


def test_every_file_is_hashed_but_the_manifest(clip_bundle):
    root = clip_bundle.path
    on_disk = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    made_here = {name for name in on_disk if name.startswith("cache/")}
    assert on_disk - made_here == {*clip_bundle.manifest.files, "manifest.json", "manifest.sha256"}


def test_opening_a_bundle_changes_none_of_its_files(copy):
    names = (*copy.manifest.files, "manifest.json", "manifest.sha256")
    before = {name: (copy.path / name).read_bytes() for name in names}
    edgevid.open(copy.path)
    assert {name: (copy.path / name).read_bytes() for name in before} == before
    assert {path.name for path in copy.path.iterdir()} - set(before) <= {"cache"}


def test_a_manifest_survives_being_read_and_written(clip_bundle, tmp_path):
    shutil.copytree(clip_bundle.path, tmp_path / "b")
    (tmp_path / "b" / "manifest.json").unlink()
    bundles.write_manifest(tmp_path / "b", clip_bundle.manifest)
    assert Bundle.open(tmp_path / "b").manifest == clip_bundle.manifest


@pytest.mark.parametrize("kind", ["clip", "stream", "jetson", "mobile"])
def test_a_changed_byte_is_noticed_in_any_file(request, tmp_path, kind):
    """Of TVM and int8: tests/backends/test_tvm.py and tests/test_calibration.py."""
    bundle = request.getfixturevalue(f"{kind}_bundle")
    assert changed_bytes_are_noticed(bundle, tmp_path / "copy") == len(bundle.manifest.files) + 2
    edgevid.open(tmp_path / "copy")


def test_a_missing_file_is_named(copy):
    (copy.path / "model.weights").unlink()
    with pytest.raises(BundleError, match=r"lacks its file 'model.weights'"):
        edgevid.open(copy.path)


def test_a_newer_schema_asks_for_an_update(copy):
    edit_manifest(copy, schema=SCHEMA_VERSION + 1)
    with pytest.raises(BundleError, match="update it"):
        edgevid.open(copy.path)


def test_an_older_schema_asks_for_another_export(copy):
    (copy.path / "manifest.json").write_text('{"schema": 1}')
    (copy.path / "manifest.sha256").unlink()
    with pytest.raises(BundleError, match=r"written by an older edgevid .*export again"):
        edgevid.open(copy.path)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"has no manifest.json"):
        edgevid.open(tmp_path)
    with pytest.raises(BundleError, match="there is no bundle"):
        edgevid.open(tmp_path / "nowhere")


def test_a_bundle_checks_itself(clip_bundle, stream_bundle, jetson_bundle, mobile_bundle):
    for bundle in (clip_bundle, stream_bundle, jetson_bundle, mobile_bundle):
        for artefact in bundle.manifest.artefacts:
            if artefact.opened_by == "tvm":  # of another processor: tests/test_beside.py
                continue
            measured = Session(bundle, artefact=artefact, with_kernels=False).check()
            assert measured.ok
            assert measured.max_rel == pytest.approx(artefact.parity.max_rel, rel=0.5, abs=1e-7)


def test_the_self_check_fails_for_other_weights(copy):
    weights = copy.path / "model.weights"
    values = np.fromfile(weights, np.float32)
    (values * 1.01).astype(np.float32).tofile(weights)
    assert not Session(copy, artefact=copy.manifest.artefacts[0], with_kernels=False).check().ok


@pytest.mark.parametrize(
    ("got", "expected", "ok"),
    [
        ([1.0, -2.0], [1.0, -2.0], True),
        ([1.0, -2.0002], [1.0, -2.0], True),
        ([1.0, -2.0006], [1.0, -2.0], False),
        ([np.nan, -2.0], [1.0, -2.0], False),
        ([np.inf, -2.0], [np.inf, -2.0], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([1e-9, 0.0], [0.0, 0.0], False),
        ([1.0], [1.0, -2.0], False),
    ],
)
def test_distance_is_relative_to_the_largest_reference_value(got, expected, ok):
    result = parity.compare({"y": np.array(got)}, {"y": np.array(expected)}, tolerance=2e-4)
    assert result.ok is ok


def test_distance_to_a_missing_output_is_infinite():
    assert not parity.compare({}, {"y": np.zeros(2)}, tolerance=1.0).ok


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def small_export(output: Path, **options):
    return edgevid.export(Tiny(), output=output, frames=2, size=16, **options)


class Different(Tiny):
    """Computes something else, by a thousandth, when it is exported."""

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return super().forward(clip) * (1.001 if torch.compiler.is_exporting() else 1)


def test_an_export_that_is_not_equal_leaves_the_old_bundle_as_it_was(copy):
    before = contents(copy.path)
    with pytest.raises(ParityError, match=r"does not compute what PyTorch does.*Nothing was written"):
        edgevid.export(Different(), output=copy.path, frames=2, size=16, force=True)
    assert contents(copy.path) == before
    assert leftovers(copy.path.parent) == []


def test_an_existing_bundle_is_replaced_only_with_force(copy):
    with pytest.raises(BundleError, match="use --force"):
        small_export(copy.path)
    assert small_export(copy.path, force=True).manifest.frames == 2
    assert leftovers(copy.path.parent) == []


def test_force_never_deletes_a_folder_that_is_not_a_bundle(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("precious")
    with pytest.raises(BundleError, match="not a bundle"):
        small_export(tmp_path / "photos", force=True)
    assert (tmp_path / "photos" / "holiday.jpg").read_text() == "precious"


def test_an_empty_folder_may_be_filled_and_missing_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    assert small_export(tmp_path / "empty").path == tmp_path / "empty"
    assert small_export(tmp_path / "a" / "b" / "c").path.is_dir()


@pytest.fixture(scope="module")
def warm_python():
    with WarmPython() as python:
        yield python


EXPORT = """
import signal, sys, time
# A shell starts what runs in the background with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
import edgevid, edgevid.exporter.check
# Stop where everything is written but not yet compared, so that the signal comes at the worst time.
edgevid.exporter.check.OpenModel.run_clip = lambda *_: (print("ready", flush=True), time.sleep(60))
from edgevid.cli import main
main(["export", "tiny_network:Tiny", "--frames", "2", "--size", "16", "-o", sys.argv[1], "--force"])
"""


@pytest.fixture
def started_in_the_background():
    """What we start inherits that SIGINT is ignored, as from a shell that runs ``make test &``."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_export_leaves_the_old_bundle_whole(
    started_in_the_background, warm_python, copy, tmp_path, how
):
    before = contents(copy.path)
    process = warm_python.start(tmp_path, EXPORT, copy.path)
    end = time.monotonic() + 60
    while (tmp_path / "stdout").read_text() != "ready\n":
        assert time.monotonic() < end, (tmp_path / "stderr").read_text()
        time.sleep(0.02)
    os.kill(process, how)
    assert warm_python.exit_status() != 0
    assert contents(copy.path) == before
    if how == signal.SIGKILL:
        small_export(copy.path, force=True)
    assert leftovers(copy.path.parent) == [], "what a killed export left is cleared by the next"


FULL_DISK = """
import resource, signal, sys
# Simulated: the kernel refuses to grow any file over 1 MB, as a full disk would.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from edgevid.cli import main
main(["export", "tiny_network:Tiny", "--frames", "2", "--size", "16", "-o", sys.argv[1]])
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(warm_python, tmp_path):
    warm_python.start(tmp_path, FULL_DISK, tmp_path / "out" / "b")
    assert warm_python.exit_status() == 2
    assert (tmp_path / "stdout").read_text() == ""
    errors = (tmp_path / "stderr").read_text()
    last = errors.splitlines()[-1]
    assert last.startswith("edgevid: cannot write in")
    assert "Free space" in last
    assert "Traceback" not in errors
    assert list((tmp_path / "out").iterdir()) == []


def test_a_temporary_folder_of_a_running_export_is_left_alone(tmp_path):
    mine = tmp_path / f".edgevid-{os.getpid()}-abc"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    abandoned = tmp_path / f".edgevid-{dead.pid}-abc"
    mine.mkdir(), abandoned.mkdir()
    time.sleep(0.01)
    with bundles.writing(tmp_path / "b") as folder:
        (folder / "file").write_text("x")
    assert mine.exists()
    assert not abandoned.exists()
    assert (tmp_path / "b" / "file").exists()

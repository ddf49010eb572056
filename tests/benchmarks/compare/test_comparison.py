"""A comparison of fake measurements: points, failures with reasons, the store, and what it says."""

from __future__ import annotations

import dataclasses

import pytest
from one_bundle import CLIP, write_bundle
from one_comparison import ENVIRONMENT, point, process

from edgevid.benchmarks.compare.candidates import Candidate, Choices, of_this_machine
from edgevid.benchmarks.compare.comparison import Tools, compare
from edgevid.benchmarks.compare.notes import notes_of
from edgevid.benchmarks.compare.table import table
from edgevid.errors import BenchmarkError, ExportError
from edgevid.specs import Preprocessing
from edgevid.targets import TARGETS


@pytest.fixture
def bundles(tmp_path):
    """``tsm_r50`` for 8 frames of 224 pixels, and ``tiny``."""
    clip = dataclasses.replace(CLIP.inputs[0], shape=(1, 8, 3, 224, 224))
    known = dataclasses.replace(
        CLIP, model="tsm_r50", frames=8, inputs=(clip,), preprocessing=Preprocessing()
    )
    write_bundle(tmp_path / "known", known)
    write_bundle(tmp_path / "tiny")
    return {name: Candidate(name, path=str(tmp_path / name)) for name in ("known", "tiny")}


def tools(**changes) -> Tools:
    measure = lambda path: process(20 if path.endswith("known") else 5)  # noqa: E731
    return Tools(lambda item: item.path, **{"measure": measure, **changes})


def test_points_have_speed_and_the_published_accuracy_where_there_is_one(bundles):
    document = compare(list(bundles.values()), tools(), rounds=2)
    known, tiny = document["points"]
    assert known["accuracy"]["kind"] == "published" and known["accuracy"]["source"]
    assert tiny["accuracy"]["top1"] is None and not tiny["pareto"]
    assert (known["latency_ms"]["p50"], len(known["processes"]), document["rounds"]) == (20, 2, 2)
    assert any(note.startswith("published, not measured here: tsm_r50 on") for note in document["notes"])


def test_with_a_data_set_accuracies_are_measured_and_a_failure_is_a_note(bundles):
    def evaluate(bundle):
        if bundle.endswith("tiny"):
            raise BenchmarkError("it has no labels")
        return {
            "top1": 0.9,
            "top1_interval": [0.88, 0.92],
            "protocol": "uniform-1x1",
            "dataset": "digits",
            "remarks": ["no labels in it"],
        }

    document = compare(list(bundles.values()), tools(evaluate=evaluate), rounds=1)
    known, tiny = document["points"]
    assert known["accuracy"] == {
        "top1": 0.9, "interval": [0.88, 0.92], "kind": "measured", "protocol": "uniform-1x1",
        "dataset": "digits", "source": "measured here", "remarks": ["no labels in it"],
    }  # fmt: skip
    assert tiny["accuracy"]["kind"] is None
    assert any("has no accuracy: it has no labels" in note for note in document["notes"])
    assert "tsm_r50: no labels in it" in document["notes"]
    assert "90 ± 2" in table(document)


def test_what_cannot_be_exported_or_run_is_a_row_with_its_reason(bundles):
    def bundle_of(item):
        if item.precision == "int8":
            raise ExportError("int8 needs videos")
        return item.path

    candidates = [
        Candidate("net", precision="int8"), Candidate("net", backend="tensorrt", why_not="no GPU here"),
        bundles["tiny"],
    ]  # fmt: skip
    document = compare(candidates, dataclasses.replace(tools(), bundle_of=bundle_of), rounds=1)
    assert [(item["precision"], item["why"]) for item in document["failures"]] == [
        ("int8", "int8 needs videos"), (None, "no GPU here"),
    ]  # fmt: skip
    text = table(document)
    assert "failed (1): int8 needs videos" in text and "failed (2): no GPU here" in text
    assert len(document["points"]) == 1


def test_a_bundle_that_is_named_twice_is_measured_once(bundles):
    assert len(compare([bundles["tiny"], bundles["tiny"]], tools(), rounds=1)["points"]) == 1


@pytest.mark.parametrize(
    ("stored", "source", "says"),
    [
        ([process(7)] * 9, "store", "6 processes from the store"),
        ([process(7, environment={**ENVIRONMENT, "kernel": "5.0"})], "measured", "in kernel (5.0, now 6.1)"),
        ([], "measured", "as the store does not have it"),
    ],
)
def test_the_store_is_used_where_device_and_versions_agree(bundles, stored, source, says):
    said = []
    with_store = tools(stored=lambda sha256: stored, environment=lambda: ENVIRONMENT, say=said.append)
    [result] = compare([bundles["tiny"]], with_store, rounds=6)["points"]
    assert (result["source"], len(result["processes"])) == (source, 6)
    assert said[0].endswith(says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"threads": 1}, "threads (1, now 2)"),
        ({"scenario": "offline"}, "what a latency is"),
        (
            {"environment": {**ENVIRONMENT, "packages": {"onnxruntime": "1.2"}}},
            "packages (onnxruntime 1.2, now onnxruntime 1.32)",
        ),
        (
            {"environment": {**ENVIRONMENT, "cpu": {"governor": "powersave"}}},
            "governor (powersave, now None)",
        ),
        (
            {"environment": {**ENVIRONMENT, "edgevid": {"version": "0.0.9"}}},
            "edgevid (version 0.0.9, now version 0.1.0",
        ),
    ],
)
def test_a_stored_result_that_does_not_agree_is_measured_again_and_says_why(bundles, change, says):
    said = []
    options = {"environment": lambda: ENVIRONMENT, "say": said.append, "threads": 2}
    compare([bundles["tiny"]], tools(stored=lambda sha256: [process(7, **change)], **options), rounds=1)
    assert says in said[0]


def test_networks_are_compared_in_every_combination():
    choices = Choices(
        ["cpu"], precisions=["fp32", "int8"], frames=[4, 8], weights={"a": "a.pth"}, calibration="videos"
    )
    found = choices.of("a")
    assert [(item.precision, item.frames) for item in found] == [
        ("fp32", 4),
        ("fp32", 8),
        ("int8", 4),
        ("int8", 8),
    ]
    assert found[0].options["weights"] == "a.pth" and "calibration" not in found[0].options
    assert found[2].options["calibration"] == "videos" and found[2].title == "a cpu int8 4 frames"


def test_every_backend_has_a_row_and_those_without_a_gpu_one_with_the_reason():
    rows = Choices().on_every_backend("a", [TARGETS["cpu"], TARGETS["gpu"]], has_gpu=False)
    here = {(row.backend, row.precision) for row in rows if row.target == "cpu" and not row.why_not}
    assert {("onnxruntime", "fp32"), ("onnxruntime", "int8")} <= here
    there = [row for row in rows if row.target == "gpu"]
    assert len(there) == 3 and all("no NVIDIA GPU" in row.why_not for row in there)


def test_boards_and_phones_are_no_targets_of_this_machine():
    names = {target.name for target in of_this_machine(TARGETS.values())}
    assert "cpu" in names and not names & {"jetson", "mobile", "raspberry-pi-5"}


def test_notes_say_what_must_not_be_compared():
    mixed = [point("a", 1, 0.9), point("b", 2, 0.7, "published", precision="fp16")]
    text = "\n".join(notes_of(mixed))
    assert "different protocols: do not compare them" in text and "beside fp16 is that of float32" in text
    stream = point(
        "s", 1, 0.9, latency_ms={"p50": 1, "interval": [1, 1], "per": "frame"}, disturbed_processes=2
    )
    text = "\n".join(notes_of([point("a", 1, 0.9, random_weights=True), stream]))
    assert "that of one frame" in text and "during 2 processes" in text and "chance" in text
    elsewhere = point("j", 1, None, target="jetson", ran_on={"backend": "reference"})
    assert any("ran on reference here" in note for note in notes_of([elsewhere]))

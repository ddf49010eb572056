"""A baseline in a repository: its reference is found, or what needs no run is compared; reasons are kept."""

from __future__ import annotations

import dataclasses
import json

import pytest
from one_bundle import CLIP, write_bundle

from edgevid.benchmarks.regress import baseline
from edgevid.benchmarks.regress.report import report
from edgevid.errors import BenchmarkError, BundleError


@pytest.fixture
def reference(tmp_path):
    return write_bundle(tmp_path / "builds" / "reference")


@pytest.fixture
def file(tmp_path, reference):
    path = tmp_path / "baselines" / "tiny.json"
    baseline.accept(path, str(reference.path), "the first one", "0123abc")
    return path


def test_the_file_names_the_reference_from_its_own_folder_and_has_no_times(file, reference):
    document = json.loads(file.read_text())
    assert document["bundle"] == "../builds/reference" and document["model"] == "tiny"
    (accepted,) = document["accepted"]
    assert accepted["bundle_sha256"] == reference.sha256 and accepted["commit"] == "0123abc"
    assert set(accepted["values"]) == {"bundle_size_mib", "parity_max_rel"}
    assert accepted["reason"] == "the first one" and accepted["environment"]["device"]


def test_the_reference_is_found_where_the_file_says_or_where_it_is_given(file, reference, tmp_path):
    known = baseline.read(file)
    found, why = baseline.reference_of(file, known, None)
    assert (found, why) == (str(file.parent / "../builds/reference"), "")
    reference.path.rename(tmp_path / "moved")
    found, why = baseline.reference_of(file, known, None)
    assert found is None and "was not found, so times were not compared: pass --reference" in why
    assert baseline.reference_of(file, known, str(tmp_path / "moved"))[0] == str(tmp_path / "moved")


def test_another_bundle_is_not_taken_for_the_reference(file, reference):
    write_bundle(reference.path, dataclasses.replace(CLIP, macs=2000))
    known = baseline.read(file)
    assert "is not the accepted reference" in baseline.reference_of(file, known, None)[1]
    with pytest.raises(BenchmarkError, match="is not the reference that"):
        baseline.reference_of(file, known, str(reference.path))
    with pytest.raises(BundleError, match="there is no bundle"):
        baseline.reference_of(file, known, "none")


@pytest.mark.parametrize(("more", "verdict"), [(0, "pass"), (5000, "regression")])
def test_without_the_reference_what_needs_no_run_is_compared(file, tmp_path, more, verdict):
    candidate = write_bundle(tmp_path / "new", **{"extra.bin": bytes(more)} if more else {})
    result = baseline.compare(file, baseline.read(file), str(candidate.path), 0.03, "times were not compared")
    assert result["verdict"] == verdict and result["pairs"] == 0
    assert [metric["name"] for metric in result["metrics"]] == ["bundle_size_mib", "parity_max_rel"]
    assert "times were not compared" in report(result)


def test_instructions_are_compared_with_the_accepted_ones_if_the_versions_are_the_same(file, reference):
    baseline.accept(file, str(reference.path), "counted", None, {"instructions": 64e6})
    known, options = baseline.read(file), ("gone", {"instructions": 65e6}, 0.005)
    result = baseline.compare(file, known, str(reference.path), 0.03, *options)
    assert result["verdict"] == "regression" and result["metrics"][-1]["ratio"] == 65 / 64
    environment = {**known.current.environment, "onnxruntime": "0.1"}
    other = dataclasses.replace(
        known, accepted=(dataclasses.replace(known.current, environment=environment),)
    )
    result = baseline.compare(file, other, str(reference.path), 0.03, *options)
    assert (
        result["verdict"] == "pass" and result["why"] == "gone; nor instructions, which depend on onnxruntime"
    )


def test_earlier_reasons_stay_in_the_file(file, tmp_path):
    other = write_bundle(tmp_path / "new", dataclasses.replace(CLIP, macs=2000))
    baseline.accept(file, str(other.path), "  a new head,\n 4 % slower ", None, {"instructions": 64e6})
    known = baseline.read(file)
    assert [item.reason for item in known.accepted] == ["the first one", "a new head, 4 % slower"]
    assert known.current.bundle_sha256 == other.sha256 and known.bundle == "../new"
    assert known.current.values["instructions"] == 64e6


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_baseline_without_a_reason_is_refused_and_the_file_stays(file, reference, reason):
    before = file.read_text()
    with pytest.raises(BenchmarkError, match="needs a reason"):
        baseline.accept(file, str(reference.path), reason, None)
    assert file.read_text() == before


def test_a_baseline_of_another_network_is_refused(file, tmp_path):
    other = write_bundle(tmp_path / "new", dataclasses.replace(CLIP, model="other"))
    with pytest.raises(BenchmarkError, match="is the baseline of tiny"):
        baseline.accept(file, str(other.path), "why not", None)
    with pytest.raises(BenchmarkError, match="is the baseline of tiny"):
        baseline.compare(file, baseline.read(file), str(other.path), 0.03, "")


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(schema=9),
        lambda document: document.update(accepted=[]),
        lambda document: document["accepted"][0].update(bundle_sha256="../x"),
        lambda document: document["accepted"][0]["values"].update(bundle_size_mib="large"),
        lambda document: document["accepted"][0]["values"].pop("parity_max_rel"),
        lambda document: document.pop("bundle"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(BenchmarkError, match="is no baseline"):
        baseline.read(file)


def test_a_missing_file_says_how_it_is_written(tmp_path):
    with pytest.raises(BenchmarkError, match="--update-baseline REASON"):
        baseline.read(tmp_path / "none.json")

"""Verdicts become series; a series that has risen is a regression, and its commit is named."""

from __future__ import annotations

import copy

import pytest
from one_result import verdict

from edgevid.benchmarks.regress.history import document, judged, report
from edgevid.benchmarks.regress.series import differences, record_of, series_of

LATENCY = "latency_p50_ms"
ENVIRONMENT = {"device": "a simulated CPU", "kernel": "6.1", "packages": {"onnxruntime": "1.2", "numpy": "2"}}


def verdicts(count: int, slower_from: int | None = None, ratio: float = 1.06) -> list[dict]:
    """Of commits 1 to ``count``; those from ``slower_from`` on are slower."""
    return [
        verdict(number, ratio if slower_from is not None and number >= slower_from else 1.0)
        for number in range(1, count + 1)
    ]


def latency(records: list[dict]):
    (found,) = [item for item in series_of(records) if item.key.metric == LATENCY]
    return found


def gate_verdict(**changes) -> dict:
    """The document of ``edgevid regress --json``, of a latency measured in pairs and of a size."""
    return {
        "verdict": "pass", "threshold": 0.03, "why": "", "threads": 2,
        "metrics": [
            {"name": LATENCY, "ratio": 1.01, "interval": [0.99, 1.03], "candidate": 10.0, "verdict": "pass",
             "pair_ratios": [1.01, 1.03]},
            {"name": "throughput_clips_per_s", "ratio": 1.0, "interval": [None, None], "candidate": 100.0,
             "verdict": "inconclusive", "pair_ratios": [1.01]},
            {"name": "bundle_size_mib", "ratio": 1.0, "interval": [1.0, 1.0], "candidate": 9.0,
             "verdict": "pass"},
            {"name": "parity_max_rel", "ratio": None, "interval": [None, None], "candidate": 1e-6,
             "verdict": "pass"},
        ],
        "baseline": {"bundle": "a", "bundle_sha256": "a" * 64, "model": "tsm_mbv2"},
        "candidate": {"bundle": "b", "bundle_sha256": "b" * 64, "model": "tsm_mbv2"},
        "environment": {"device": "a simulated CPU", "date_utc": "2026-12-01T00:00:00+00:00"}, **changes,
    }  # fmt: skip


def test_a_verdict_is_kept_with_the_ratios_of_its_pairs():
    record = record_of(gate_verdict(), "0123abc")
    assert record["candidate_commit"] == "0123abc" and record["reference_sha256"] == "a" * 64
    assert record["metrics"][LATENCY]["pairs"] == pytest.approx([1.01, 1.03])
    assert set(record["metrics"]) == {LATENCY, "bundle_size_mib"}  # the others have no interval or no ratio
    assert record_of(gate_verdict(environment=None), None) is None


def test_a_series_is_of_one_network_device_reference_and_metric():
    other = [verdict(7, reference_sha256="b" * 64), verdict(8, model="tsm_r50"), verdict(9, threads=1)]
    series = series_of(verdicts(3) + other)
    assert len(series) == 2 * 4
    assert [point["commit"] for point in latency(verdicts(3)).points] == [
        f"00{n}{'c' * 37}" for n in (1, 2, 3)
    ]


def test_points_are_in_the_order_of_their_dates():
    assert latency(verdicts(5)[::-1]).points == latency(verdicts(5)).points


def test_what_changed_in_the_environment_is_named():
    after = copy.deepcopy(ENVIRONMENT)
    after["packages"]["onnxruntime"] = "1.3"
    after["kernel"] = "6.2"
    assert differences(ENVIRONMENT, after) == ["kernel 6.1 to 6.2", "onnxruntime 1.2 to 1.3"]
    assert differences(ENVIRONMENT, ENVIRONMENT) == []


def test_a_series_that_has_risen_is_a_regression_and_its_commit_is_named():
    *earlier, record = verdicts(20, slower_from=15)
    result = judged(gate_verdict(), record, earlier)
    assert result["verdict"] == "regression"
    against = next(item for item in result["metrics"] if item["name"] == f"{LATENCY} against history")
    assert against["verdict"] == "regression" and against["first_bad_commit"] == "015" + "c" * 37
    assert against["ratio"] == pytest.approx(1.06, abs=0.01) and against["points"] == 20
    assert "latency_p50_ms has risen by" in result["why"]


def test_a_flat_series_passes_and_leaves_the_verdict_as_it_is():
    *earlier, record = verdicts(20)
    result = judged(gate_verdict(verdict="inconclusive", why="too few pairs"), record, earlier)
    assert (result["verdict"], result["why"]) == ("inconclusive", "too few pairs")
    names = [item["name"] for item in result["metrics"] if item["verdict"] == "pass"]
    assert f"{LATENCY} against history" in names and "bundle_size_mib against history" in names


def test_too_few_points_are_not_judged():
    *earlier, record = verdicts(9, slower_from=5)
    assert judged(gate_verdict(), record, earlier) == gate_verdict()


def test_an_environment_that_changed_with_the_series_is_said():
    records = verdicts(20, slower_from=15)
    for record in records[14:]:
        record["environment"]["kernel"] = "6.2"
    assert "(where the environment changed: kernel 6.1 to 6.2)" in report(series_of(records))


def test_the_report_has_each_series_its_changes_and_why_a_reference_was_accepted():
    accepted = verdict(1, verdict="accepted", why="the new head is worth it", metrics={})
    text = report(series_of([accepted, *verdicts(20, slower_from=15)[1:]]))
    assert "latency_p50_ms" in text and "regression" in text and "since commit 015ccccccc" in text
    assert "reference aaaaaaaaaa was accepted: the new head is worth it" in text
    assert "5 points to go" in report(series_of(verdicts(5)))


def test_the_document_has_every_point_and_change():
    (size, found) = document("results.db", series_of(verdicts(20, slower_from=15)))["series"]
    assert size["metric"] == "bundle_size_mib" and size["verdict"] == "pass" and size["changes"] == []
    assert found["first_bad_commit"] == "015" + "c" * 37 and len(found["points"]) == 20
    (change,) = found["changes"]
    assert (change["kind"], change["first"], change["first_commit"]) == ("step", 14, "015" + "c" * 37)
    assert found["points"][0]["pairs"] == 16 and "environment" not in found["points"][0]

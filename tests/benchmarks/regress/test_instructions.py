"""Counts of instructions: what they decide, how callgrind's file is read, and one real count."""

from __future__ import annotations

import platform
import shutil
import subprocess

import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.regress import callgrind, counted
from edgevid.benchmarks.regress.callgrind import Counts, count, read
from edgevid.benchmarks.regress.instructions import Options, compare
from edgevid.benchmarks.regress.report import report
from edgevid.errors import BenchmarkError

MILLION = 1_000_000
OLD = Counts(64 * MILLION, {"ShiftConv": 30 * MILLION, "ShiftConvDepthwise": 20 * MILLION})
needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


@pytest.fixture
def compare_counts(tmp_path):
    """``compare_counts(old, new)``: the verdict on two bundles, each counted as its list says."""
    bundles = [write_bundle(tmp_path / name).path for name in ("old", "new")]

    def run(old: list[Counts], new: list[Counts], **options):
        left = {"0": list(old), "1": list(new)}
        return compare(*bundles, Options(**options), count=lambda copy: left[copy.name].pop(0))

    return run


def metric(verdict, name):
    return next(item for item in verdict["metrics"] if item["name"] == name)


def grown(total: float = 1.0, **kernels: float) -> Counts:
    """``OLD`` with more instructions in all, or in single kernels and so in all."""
    counts = {name: round(number * kernels.get(name, 1)) for name, number in OLD.kernels.items()}
    more = sum(counts.values()) - sum(OLD.kernels.values())
    return Counts(round(OLD.total * total) + more, counts)


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (OLD, "pass"),
        (Counts(OLD.total + 2, OLD.kernels), "pass"),
        (grown(1.004), "pass"),
        (grown(1.006), "regression"),
        (grown(0.9), "improvement"),
        (grown(ShiftConv=1.006), "regression"),
        (grown(ShiftConv=1.2, ShiftConvDepthwise=0.7), "pass"),
        (grown(ShiftConv=1.2, ShiftConvDepthwise=0.5), "improvement"),
    ],
)
def test_more_than_half_a_percent_in_all_or_in_a_kernel_is_a_regression(compare_counts, new, verdict):
    assert compare_counts([OLD, OLD], [new, new])["verdict"] == verdict


def test_the_threshold_is_the_caller_s(compare_counts):
    new = [grown(1.006)] * 2
    assert compare_counts([OLD] * 2, new, threshold=0.01)["verdict"] == "pass"


def test_a_kernel_of_a_few_instructions_is_no_regression(compare_counts):
    old = Counts(OLD.total, {**OLD.kernels, "Gate": 1000})
    new = Counts(OLD.total + 100, {**OLD.kernels, "Gate": 1100})
    verdict = compare_counts([old] * 2, [new] * 2)
    assert verdict["verdict"] == metric(verdict, "instructions.Gate")["verdict"] == "pass"


def test_counts_that_differ_by_themselves_are_inconclusive(compare_counts):
    verdict = compare_counts([OLD, grown(1.001)], [grown(1.1)] * 2)
    assert verdict["verdict"] == "inconclusive" and "0.05%" in verdict["why"]


def test_a_kernel_that_one_bundle_does_not_run_is_judged_in_all(compare_counts):
    new = Counts(OLD.total, {**OLD.kernels, "WinogradConv": 5 * MILLION})
    verdict = compare_counts([OLD] * 2, [new] * 2)
    winograd = metric(verdict, "instructions.WinogradConv")
    assert verdict["verdict"] == winograd["verdict"] == "pass" and winograd["ratio"] is None


def test_instructions_are_a_metric_of_their_own(compare_counts):
    verdict = compare_counts([OLD] * 2, [grown(1.01)] * 2)
    names = [item["name"] for item in verdict["metrics"]]
    assert names[0] == "instructions" and not any("latency" in name for name in names)
    assert verdict["measure"] == "instructions" and verdict["threshold"] == 0.005
    text = report(verdict)
    assert "64,000,000" in text and "+1.00%" in text and "more than +0.5% is a regression" in text


FILE = """\
events: Ir

ob=/python
fn=PyObject_Call
0 100
cfn=edgevid::ort::Registration<edgevid::(anonymous namespace)::ShiftConvOp>::compute(void*, Context*)
calls=2 0
0 3000
cfn=edgevid::ort::Registration<edgevid::(anonymous namespace)::ShiftConvDepthwiseOp<2> >::compute(void*)
calls=1 0
0 500

fn=edgevid::ort::Registration<edgevid::(anonymous namespace)::ShiftConvOp>::compute(void*, Context*)
0 1000
cfn=edgevid::avx2::(anonymous namespace)::expand<8, 2>(edgevid::ShiftConvDepthwise const&)
calls=4 0
0 2000

totals: 3600
"""


def test_a_kernel_s_count_has_what_it_calls():
    assert read(FILE.splitlines()) == Counts(3600, {"ShiftConv": 3000, "ShiftConvDepthwise": 500})


def test_without_valgrind_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: None)
    with pytest.raises(BenchmarkError, match="Debian: apt install valgrind"):
        count(tmp_path)


@pytest.mark.parametrize(
    ("returncode", "stderr", "says"),
    [
        (
            1,
            "warning\nedgevid: bundle 'b' was changed: export again\n",
            "^bundle 'b' was changed: export again$",
        ),
        (-4, "vex: unhandled instruction bytes: 0x62\n", "AVX-512"),
        (1, "valgrind: cannot start\n", "valgrind: cannot start"),
    ],
)
def test_a_count_that_fails_says_why(monkeypatch, tmp_path, returncode, stderr, says):
    monkeypatch.setattr(callgrind, "_valgrind", lambda: ["valgrind"])
    ended = subprocess.CompletedProcess([], returncode, "", stderr)
    monkeypatch.setattr(callgrind.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(BenchmarkError, match=says):
        count(tmp_path)


@pytest.mark.skipif(platform.machine() not in counted.REQUEST, reason="of another architecture")
def test_a_request_of_valgrind_changes_nothing_without_it():
    assert counted.Valgrind().request(counted.RUNNING_ON_VALGRIND) == 0


@needs_valgrind
@pytest.mark.slow
def test_a_real_count_has_the_kernel_of_the_network(exported):
    counts = count(exported("tiny_network:Shifted", classes=None).path)
    assert counts.total > counts.kernels["ShiftConv"] > 100_000

"""What ``edgevid regress`` measures: the options, and where they lead."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.evaluation import run
from edgevid.benchmarks.regress import gate, instructions, self_test

COUNTED = {
    "verdict": "regression", "measure": "instructions", "threshold": 0.005, "pairs": 0, "discarded_pairs": 0,
    "seconds": 61.0, "why": "", "notes": ["counted on AVX2"],
    "metrics": [
        {"name": "instructions", "baseline": 64_000_000, "candidate": 66_000_000, "ratio": 66 / 64,
         "interval": [66 / 64, 66 / 64], "verdict": "regression", "smallest_effect": 0.0005},
    ],
}  # fmt: skip


@pytest.fixture
def regress(run_edgevid, monkeypatch, tmp_path):
    """``regress(*options)`` on two bundles; ``regress.options`` are those that the counts got."""
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    old, new = (write_bundle(tmp_path / name).path for name in ("old", "new"))

    def compare(baseline, candidate, options, show):
        run.options = options
        show(1, 4)
        return COUNTED

    def run(*arguments):
        return run_edgevid("regress", "--baseline", old, "--candidate", new, *arguments)

    monkeypatch.setattr(instructions, "compare", compare)
    return run


def test_instructions_are_counted_instead_of_times(regress):
    result = regress("--instructions")
    assert result.status == 1 and "66,000,000" in result.out and "counted on AVX2" in result.out
    assert "counting instructions: 1/4 inferences" in result.err
    assert regress.options.threshold == pytest.approx(0.005)


def test_instructions_have_a_threshold_of_their_own(regress):
    regress("--instructions", "--instructions-threshold", "0.1%", "--threshold", "5%")
    assert (regress.options.threshold, regress.options.size_threshold) == pytest.approx((0.001, 0.05))
    wrong = regress("--instructions", "--instructions-threshold", "few")
    assert wrong.status == 3 and "--instructions-threshold 0.5%" in wrong.err


@pytest.fixture
def energy(regress, monkeypatch):
    """``energy(*options)`` -> what the gate is told about the energy; None where it was not reached."""

    def run(*options):
        found = []
        monkeypatch.setattr(gate, "compare", lambda *arguments: found.append(arguments[4]) or COUNTED)
        result = regress(*options)
        return (found or [None])[0], result

    return run


def test_power_none_measures_no_energy_and_says_so(energy):
    assert energy("--power", "none")[0].why_not == "--power none"


def test_an_energy_that_is_asked_for_decides(energy, tmp_path):
    (tmp_path / "m.csv").write_text("2.0\n")
    asked, _ = energy("--power", f"csv:{tmp_path / 'm.csv'}")
    assert asked.why_not == "" and asked.metric(0.03).measure.decides


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--power", "csv:none"], "there is no file none"),
        (["--power", "nonsense"], "nonsense"),
        (["--power", "csv:none", "--instructions"], "leave --power out"),
    ],
)
def test_a_sensor_that_cannot_be_used_is_refused_before_anything_is_measured(energy, options, says):
    asked, result = energy(*options)
    assert asked is None and result.status == 3 and result.out == ""
    (line,) = result.err.splitlines()
    assert says in line


@pytest.fixture
def dataset(tmp_path):
    """A folder for each of two classes, with a hundred (empty) videos each."""
    for number in range(200):
        path = tmp_path / "videos" / f"class{number % 2}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "videos"


@pytest.mark.parametrize(("lost", "status"), [(0, 0), (30, 1)])
def test_accuracies_are_compared_on_the_same_videos(regress, dataset, monkeypatch, lost, status):
    """Simulated: which videos each of the two bundles has right."""

    def evaluate(bundle, videos, *_):
        first_right = lost if bundle.name == "new" else 0
        records = [
            SimpleNamespace(video=str(number), label=0, best=[int(number < first_right)])
            for number in range(len(videos.videos))
        ]
        return SimpleNamespace(records=records)

    def compare(baseline, candidate, options, *_):
        assert options.others == 1, "one more test shares the error"
        verdict = {**COUNTED, "verdict": "pass", "not_measured": {"accuracy_top1": "no videos"}}
        del verdict["measure"]
        return {**verdict, "metrics": [{**COUNTED["metrics"][0], "verdict": "pass"}]}

    monkeypatch.setattr(run, "evaluate", evaluate)
    monkeypatch.setattr(gate, "compare", compare)
    result = regress("--dataset", dataset)
    assert result.status == status
    assert "accuracy_top1" in result.out and "no videos" not in result.out


def test_a_data_set_that_is_none_is_refused_before_anything_is_measured(regress, monkeypatch, tmp_path):
    monkeypatch.setattr(gate, "compare", None)
    result = regress("--dataset", tmp_path / "none")
    assert result.status == 3 and "no data set at" in result.err


SELF_TEST = {
    "sentence": "in a budget of 60 s this machine catches a slow-down of 3%", "threshold": 0.03,
    "budget_s": 60.0, "measured_pairs": 48, "disturbed": 0.0, "trials": 200, "seconds": 58.0,
    "false_alarms": {"share": 0.0, "upper_bound": 0.015, "passed": 1.0, "inconclusive": 0.0, "pairs": 16,
                     "seconds": 30.0},
    "slowdowns": [{"slowdown": 0.03, "caught": 0.98, "passed": 0.0, "inconclusive": 0.02, "pairs": 15,
                   "seconds": 28.0}],
}  # fmt: skip


def test_a_self_test_prints_a_table_or_json_and_needs_a_bundle(run_edgevid, monkeypatch, tmp_path):
    def run(bundle, options, show):
        assert (bundle, options.budget_s) == (str(tmp_path), 60)
        show(30, 60)
        return SELF_TEST

    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(self_test, "run", run)
    command = ("regress", "--self-test", "--baseline", tmp_path, "--budget", "60s")
    result = run_edgevid(*command)
    assert result.status == 0 and "98.0%" in result.out and "catches a slow-down of 3%" in result.out
    assert "measuring: 30/60 s" in result.err
    assert json.loads(run_edgevid(*command, "--json").out) == SELF_TEST
    run_edgevid(*command, "--json", tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text()) == SELF_TEST
    without = run_edgevid("regress", "--self-test")
    assert without.status == 3 and "--baseline" in without.err

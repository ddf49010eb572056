"""Experiments share their options, interleave their candidates and record the device in their file."""

from __future__ import annotations

import json
import sys

import pytest

from edgevid.benchmarks.experiments.study import Study, describe, interleave
from edgevid.errors import BenchmarkError


def test_a_custom_clock_times_each_candidate():
    samples = interleave({"a": 3.0, "b": 1.5}, rounds=4, clock=lambda candidate: 2 * candidate)
    assert samples == {"a": [6.0] * 4, "b": [3.0] * 4}
    assert "a/b 2.000 [2.000, 2.000]" in describe(samples)


def test_the_file_of_a_study_contains_the_device_the_options_and_every_sample(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["study", "--rounds", "2", "--json", str(tmp_path / "file.json")])
    study = Study("A study.", rounds=7)
    study.run(lambda options: study.add("network", {"a": [1.0] * options.rounds}, macs=5))
    document = json.loads((tmp_path / "file.json").read_text())
    assert document["environment"]["device"] in capsys.readouterr().out
    assert document["options"]["rounds"] == 2
    assert document["results"] == [{"name": "network", "macs": 5, "samples_ms": {"a": [1.0, 1.0]}}]


def test_an_error_of_a_study_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(options):
        raise BenchmarkError("there is no GPU")

    monkeypatch.setattr(sys, "argv", ["study", "--json", str(tmp_path / "file.json")])
    with pytest.raises(SystemExit) as ended:
        Study("A study.", rounds=7).run(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: there is no GPU\n"
    assert not (tmp_path / "file.json").exists()

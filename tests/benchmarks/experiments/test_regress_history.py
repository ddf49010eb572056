"""The study of the history: its noises, its counts, and the files of pairs that it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgevid.benchmarks.experiments.regress_history import (
    creep,
    flat,
    read_pairs,
    recorded,
    step,
    white,
)
from edgevid.errors import BenchmarkError


def test_creeps_and_steps_are_found_in_little_noise_and_nothing_else_is():
    chance, noise = np.random.default_rng(0), white(0.003)
    assert creep(noise, chance, 2, 100)["onset_within_5"] == 1
    assert step(noise, chance, 2, 100) == {"step_within_3": 1, "step_and_others": 0}
    assert flat(noise, chance, 1, 20) == {
        "flat_series": 1, "false_at_any_commit": 0, "false_at_the_end": 0, "false_per_look": 0
    }  # fmt: skip


def read(folder, document, per_commit):
    (folder / "v.json").write_text(json.dumps(document))
    return read_pairs(folder / "v.json", per_commit)


def test_a_commit_of_recorded_noise_is_the_median_of_successive_pairs_without_the_runs_own_change(tmp_path):
    metric = {"name": "latency_p50_ms", "pair_ratios": list(np.exp(np.r_[np.zeros(10), np.ones(10)] + 5))}
    logs = read(tmp_path, {"metrics": [metric]}, 4)
    values = recorded(logs, 4)(np.random.default_rng(0), 200)
    assert set(values.round(6)) <= {-0.5, 0.0, 0.5} and {-0.5, 0.5} <= set(values.round(6))


def test_trials_have_pairs_of_several_slow_downs_which_are_no_noise(tmp_path):
    kinds = [("latency ratio, 0% slower", [1.0, 1.1, 0.9]), ("latency ratio, 10% slower", [1.1, 1.21, 0.99])]
    results = [{"name": name, "samples_ms": ratios} for name, ratios in kinds]
    logs = read(tmp_path, {"results": [*results, {"name": "trials, 0% slower", "samples_ms": []}]}, 1)
    assert np.exp(logs) == pytest.approx([1.0, 1.0, 1.1, 1.1, 0.9, 0.9])


@pytest.mark.parametrize("text", ["", "[]", '{"metrics": [{}]}', '{"results": [{"name": 1}]}'])
def test_a_file_without_pairs_is_refused(tmp_path, text):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(BenchmarkError, match="has no pairs"):
        read_pairs(tmp_path / "v.json", 2)


@pytest.mark.parametrize("count", [0, 9])
def test_a_file_of_too_few_pairs_is_refused(tmp_path, count):
    metric = {"name": "latency_p50_ms", "pair_ratios": [1.0] * count}
    with pytest.raises(BenchmarkError, match=f"has {count} pairs; 10 are needed"):
        read(tmp_path, {"metrics": [metric]}, 2)
    metric["pair_ratios"] = [1.0] * 10
    assert len(read(tmp_path, {"metrics": [metric]}, 2)) == 10

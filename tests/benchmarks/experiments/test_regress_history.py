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


def test_a_commit_of_recorded_noise_is_the_median_of_successive_pairs_without_the_runs_own_change():
    values = recorded(np.exp(np.r_[np.zeros(8), np.ones(8)] + 5), 4)(np.random.default_rng(0), 200)
    assert set(values) <= {-0.5, 0.0, 0.5} and {-0.5, 0.5} <= set(values)


@pytest.mark.parametrize("text", ["", "[]", '{"metrics": []}', json.dumps({"metrics": [{"name": "x"}]})])
def test_a_file_without_pairs_is_refused(tmp_path, text):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(BenchmarkError, match="is no verdict"):
        read_pairs(tmp_path / "v.json", 2)


def test_a_file_of_too_few_pairs_is_refused(tmp_path):
    metric = {"name": "latency_p50_ms", "pair_ratios": [1.0] * 9}
    (tmp_path / "v.json").write_text(json.dumps({"metrics": [metric]}))
    with pytest.raises(BenchmarkError, match="has 9 pairs; 10 are needed"):
        read_pairs(tmp_path / "v.json", 2)
    metric["pair_ratios"] += [1.0]
    (tmp_path / "v.json").write_text(json.dumps({"metrics": [metric]}))
    assert len(read_pairs(tmp_path / "v.json", 2)) == 10

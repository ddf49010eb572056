"""Whole programs are compared by fresh processes; one that fails is named and left out."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from edgevid.benchmarks.experiments.peers.video.__main__ import Result, agreement, run, run_rounds
from edgevid.errors import BenchmarkError

SCRIPT = json.dumps({"logits": [1.0, 3.0], "frames": 4, "wall_ms": 20.0})
RUN = json.dumps(
    {
        "predictions": [{"index": 1, "logit": 3.1}, {"index": 0, "logit": 1.0}],
        "frames": 4,
        "time_ms": {"total": 30.0, "wall": 10.0},
    }
)


def printing(text: str) -> list[str]:
    return [sys.executable, "-c", f"print({text!r})"]


@pytest.mark.parametrize("text,logits,wall_ms", [(SCRIPT, [1.0, 3.0], 20.0), (RUN, [1.0, 3.1], 10.0)])
def test_a_script_and_edgevid_report_the_same_things(text, logits, wall_ms):
    result = run(printing(text))
    assert (result.logits.tolist(), result.frames, result.wall_ms) == (logits, 4, wall_ms)
    assert result.ms_per_frame == wall_ms / 4
    assert result.process_ms > 1 and result.processor_ms > 1 and result.peak_mib > 1


def test_a_candidate_that_fails_is_left_out_with_its_last_line():
    commands = {
        "edgevid": printing(RUN),
        "opencv": printing(SCRIPT),
        "decord": [sys.executable, "-c", "import no_such_module"],
    }
    results, failed = run_rounds(commands, rounds=1, seed=0)
    assert {name: len(runs) for name, runs in results.items()} == {"edgevid": 1, "opencv": 1}
    assert list(failed) == ["decord"] and "no_such_module" in failed["decord"]


def test_without_edgevid_there_is_nothing_to_compare():
    with pytest.raises(BenchmarkError, match="no_such_module"):
        run_rounds({"edgevid": [sys.executable, "-c", "import no_such_module"]}, rounds=1, seed=0)


def test_answers_are_compared():
    first, close, other = (Result(np.array(x), 4, 1.0, 1.0, 1.0, 1.0) for x in ([1, 4], [1, 3.9], [4, 1]))
    assert agreement(first, close) == (
        "the same best class, logits differ by 2.5e-02 of the largest, 4 frames for 4"
    )
    assert agreement(first, other).startswith("ANOTHER best class")

"""The options of ``edgevid bench`` as a request to a board that measures alone."""

from __future__ import annotations

from edgevid.benchmarks.harness.protocol import Request, Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.cli.bench_options import Options


def test_a_board_that_measures_alone_gets_every_option():
    options = Options("ssh://nano", 2.5, 3, Settings(streams=4), pinned=False, power="rapl")
    assert options.request("b", "offline") == Request(
        "b", "offline", 2.5, 3, "ssh://nano", Settings(streams=4), pinned=False, power="rapl"
    )


def test_without_a_duration_the_scenario_has_its_own():
    options = Options("ssh://nano", None, None, Settings(), pinned=True, power=None)
    assert options.request("b", "sustained").duration_s == SCENARIOS["sustained"].duration_s == 1800

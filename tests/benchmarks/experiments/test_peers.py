"""The comparison with peers: statistics, rounds, candidates that fail, and one real run."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgevid.benchmarks.experiments.peers import __main__ as command
from edgevid.benchmarks.experiments.peers import bounds, case_runner, report
from edgevid.benchmarks.experiments.peers.case_runner import TOLERANCE, Options, run_candidates
from edgevid.benchmarks.experiments.peers.cases import Candidate, Case, candidates_of
from edgevid.benchmarks.experiments.peers.rounds import measure, medians_of_turns
from edgevid.benchmarks.experiments.peers.worker_process import TASKS, PeerError, WorkerProcess
from edgevid.benchmarks.experiments.study import Ratio, paired_ratio

pytestmark = pytest.mark.slow

OUTPUT = [[1.0, 2.0]]
CASE = Case("mobilenet_v2", "clip", frames=1, size=8, classes=2)

FAKE = """
import os, sys, threading, time
from edgevid.benchmarks.experiments.peers.worker_protocol import Runner, runner_actions, serve

behavior = sys.argv[1:]
def spin():
    end = time.monotonic() + 0.25
    while time.monotonic() < end: pass
if "no-package" in behavior:
    def open_runner(**request): import package_that_nobody_has
else:
    class open_runner(Runner):
        version, count = "1.0", 0
        def __init__(self, folder, clip, peer, network, case, threads):
            super().__init__(clip, streaming=False)
        def step(self):
            print("a library says hello")
            self.count += 1
            if "dies" in behavior and self.count > 4: os._exit(7)
            if "hangs" in behavior: time.sleep(600)
            if "spins" in behavior: threading.Thread(target=spin, daemon=True).start()
            time.sleep(0.001)
        def logits(self):
            return {answer} if "wrong" not in behavior else [[1.0, 2.01]]
sys.exit(serve(runner_actions(open_runner)))
"""


@pytest.fixture
def fake(tmp_path):
    """``fake("dies")``: the command of a fake worker with that behavior."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE.replace("{answer}", repr(OUTPUT)))
    np.save(tmp_path / "input.npy", np.zeros((1, 1, 3, 8, 8), np.float32))
    return lambda *behavior: (sys.executable, str(script), *behavior)


@pytest.fixture
def competition(fake, tmp_path):
    """Run fake candidates with ``behaviors`` by peer; returns the case's result."""

    def run(missing=(), pairs=3, **behaviors):
        commands = {Candidate(peer, "tsm"): fake(*how) for peer, how in behaviors.items()}
        options = Options(pairs=pairs, threads=1, warm_ups=1, min_turn_ms=3)
        reasons = {Candidate(peer, "tsm"): "its file" for peer in missing}
        expected = {"tsm": np.array(OUTPUT)}
        return run_candidates(CASE, commands, reasons, expected, options, tmp_path, lambda sentence: None)

    return run


def by_peer(result):
    return {row["peer"]: row for row in result["contestants"]}


def test_a_ratio_is_the_median_of_the_ratios_within_rounds():
    # A slow round slows both; the ratio of the medians would be 3 / 2.
    ratio = paired_ratio([2, 3, 40], [1, 2, 20])
    assert ratio.median == pytest.approx(2.0)
    assert ratio.pairs == 3
    assert (ratio.low, ratio.high) == pytest.approx((1.5, 2.0))


def test_a_ratio_that_never_changes_has_an_interval_without_width():
    assert paired_ratio([3.0] * 5, [2.0] * 5) == Ratio(1.5, 1.5, 1.5, 5)


def test_the_interval_is_as_wide_as_theory_says():
    # The median of n draws from U(0, 1) has a standard deviation of about 1 / (2 sqrt(n)).
    draws = np.random.default_rng(1).random(400)
    ratio = paired_ratio(draws, np.ones(400))
    assert ratio.low < 0.5 < ratio.high
    assert ratio.high - ratio.low == pytest.approx(2 * 1.96 / (2 * 20), rel=0.3)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(2)
    ratios = [paired_ratio(random.normal(1, 0.1, 25), np.ones(25)) for _ in range(100)]
    assert 88 <= sum(ratio.low <= 1 <= ratio.high for ratio in ratios) <= 100


def test_the_same_samples_give_the_same_interval():
    samples = np.random.default_rng(3).random((2, 20)) + 1
    assert paired_ratio(*samples) == paired_ratio(*samples)


@pytest.mark.parametrize("over, under", [([], []), ([1.0, 2.0], [1.0])])
def test_unpaired_rounds_are_refused(over, under):
    with pytest.raises(ValueError, match="cannot pair"):
        paired_ratio(over, under)


def test_a_bound_is_met_only_if_the_whole_interval_is_within_it():
    assert bounds.judge(Ratio(0.9, 0.8, 1.0, 9), 1.0) == "met"
    assert bounds.judge(Ratio(1.2, 1.1, 1.3, 9), 1.0) == "not met"
    assert bounds.judge(Ratio(0.9, 0.8, 1.1, 9), 1.0).startswith("unclear, the median is within")
    assert bounds.judge(Ratio(1.05, 0.9, 1.1, 9), 1.0).startswith("unclear, the median is above")
    assert bounds.judge(Ratio(0.9, 0.9, 0.9, 1), 1.0).startswith("no verdict: 1 pairs are too few")


def test_every_round_has_each_candidate_once_in_an_order_of_its_own():
    calls = []
    turns = {name: lambda name=name: calls.append(name) or [1.0] for name in "abcd"}
    rounds = measure(turns, pairs=6, warm_ups=2, seed=5)
    assert [sorted(order) for order in rounds.orders] == [list("abcd")] * 6
    assert len({tuple(order) for order in rounds.orders}) > 1
    assert calls[8:] == [name for order in rounds.orders for name in order]
    assert {name: len(samples) for name, samples in rounds.samples_ms.items()} == dict.fromkeys("abcd", 6)
    assert measure(turns, pairs=6, warm_ups=2, seed=5).orders == rounds.orders


def test_samples_of_a_round_are_of_the_same_moment():
    clock = iter(range(1000))
    turns = {name: lambda: [float(next(clock))] for name in "ab"}
    samples = measure(turns, pairs=4, warm_ups=0, seed=0).samples_ms
    for index in range(4):
        assert {samples["a"][index][0], samples["b"][index][0]} == {2.0 * index, 2.0 * index + 1}


def test_candidates_in_processes_of_their_own_are_timed_in_turns(competition):
    result = competition(onnxruntime=(), edgevid=())
    for row in result["contestants"]:
        assert row["error"] is None
        assert row["version"] == "1.0"
        assert row["max_rel"] == 0
        assert [len(turn) > 0 for turn in row["samples_ms"]] == [True] * 3
        assert row["baseline_mib"] > 0
    assert [sorted(order) for order in result["orders"]] == [["edgevid tsm", "onnxruntime tsm"]] * 3


@pytest.mark.parametrize(
    "behavior, words",
    [
        (("wrong",), "does not compute what eager PyTorch does"),
        (("no-package",), "the package 'package_that_nobody_has' is not installed: pip install"),
        (("dies",), "ended with status 7; its last line on stderr: a library says hello"),
    ],
)
def test_a_candidate_that_fails_is_a_row_with_a_reason_and_never_a_time(competition, behavior, words):
    result = competition(onnxruntime=(), openvino=behavior)
    failed, other = by_peer(result)["openvino"], by_peer(result)["onnxruntime"]
    assert words in failed["error"]
    assert not failed.get("samples_ms")
    assert other["error"] is None
    assert len(other["samples_ms"]) == 3
    assert words in report.text(report.document(ENVIRONMENT, OPTIONS, [with_case(result)]))


def test_a_candidate_whose_file_could_not_be_made_says_so(competition):
    assert by_peer(competition(missing=("openvino",), openvino=()))["openvino"]["error"] == "its file"


def test_a_worker_that_does_not_respond_is_ended(fake, tmp_path):
    with contextlib.closing(WorkerProcess(fake("hangs"), threads=1, limit_s=1.5)) as worker:
        request = {"case": {}, "threads": 1, "peer": "openvino", "network": "tsm"}
        worker.call("open", folder=str(tmp_path), **request)
        with pytest.raises(PeerError, match="no response within"):
            worker.call("turn", min_ms=1)
    assert ended(str(tmp_path))


@pytest.mark.skipif(not TASKS.is_dir(), reason="only Linux tells the state of another process's threads")
def test_the_next_turn_waits_until_the_last_candidates_threads_are_asleep(fake, tmp_path):
    with contextlib.closing(WorkerProcess(fake("spins"), threads=1)) as worker:
        worker.call("open", folder=str(tmp_path), case={}, threads=1, peer="openvino", network="tsm")
        worker.call("turn", min_ms=1)
        awake = not worker._is_asleep()
        worker.settle()
        assert awake
        assert worker._is_asleep()


def test_an_interrupted_run_leaves_no_process(fake, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("edgevid.benchmarks.experiments.peers.case_runner.measure", interrupt)
    with pytest.raises(KeyboardInterrupt):
        commands = {Candidate("openvino", "tsm"): fake()}
        expected = {"tsm": np.array(OUTPUT)}
        run_candidates(CASE, commands, {}, expected, Options(threads=1), tmp_path, lambda sentence: None)
    assert ended(str(tmp_path))


def ended(path):
    """Whether no process has ``path`` in its command line, or soon has."""
    for _ in range(50):
        lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
        if not any(path in line for line in lines):
            return True
        time.sleep(0.1)
    return False


def test_the_easier_way_of_writing_a_shift_is_for_peers_that_open_files():
    networks = {peer: [] for peer in ("edgevid", "onnxruntime", "executorch", "eager")}
    for one in candidates_of(CASE, tuple(networks)):
        networks[one.peer].append(one.network)
    assert networks["edgevid"] == networks["eager"] == ["tsn", "tsm"]
    assert networks["onnxruntime"] == networks["executorch"] == ["tsn", "tsm", "tsm-cat"]
    streaming = Case("resnet50", "streaming")
    assert {one.network for one in candidates_of(streaming, ("onnxruntime",))} == {"tsn", "tsm"}
    assert streaming.zoo_name("tsm") == "tsm_r50_online"


@pytest.mark.parametrize("mode", ["clip", "streaming"])
def test_plain_networks_compute_what_edgevids_do_without_its_ops(mode, tmp_path):
    import torch

    from edgevid.benchmarks.experiments.peers import networks
    from edgevid.zoo.layers.shift import TemporalShift

    case = Case("mobilenet_v2", mode, frames=3, size=32, classes=5)
    weights, clip = tmp_path / networks.WEIGHTS, torch.randn(1, 3, 3, 32, 32)
    torch.save(networks.zoo_network(case, "tsn").state_dict(), weights)
    outputs = {}
    for network in case.networks:
        model = networks.ordinary_network(case, network, weights)
        assert not any(isinstance(module, TemporalShift) for module in model.modules())
        outputs[network] = networks.eager_output(case, model, clip)
        ours = networks.zoo_network(case, network, weights)
        with torch.no_grad():
            expected = ours.frame_logits(clip)[0] if case.streaming else ours(clip)
        torch.testing.assert_close(outputs[network], expected, rtol=1e-4, atol=1e-5 * expected.abs().max())
    # A candidate that forgot to shift would be noticed.
    difference = (outputs["tsm"] - outputs["tsn"]).abs().max() / outputs["tsm"].abs().max()
    assert difference > 10 * TOLERANCE


ENVIRONMENT = {"device": "a device", "date_utc": "today", "busy_percent": 0.0, "cpu": {"governor": None}}
OPTIONS = {"pairs": 3, "threads": 2}


def with_case(result, frames=8, size=224):
    case = {"model": "mobilenet_v2", "mode": "clip", "frames": frames, "size": size}
    return {"case": case, **result}


def row(peer, network, *times_ms, peak_mib=100.0):
    samples = [[float(time_ms)] for time_ms in times_ms]
    facts = {"error": None, "max_rel": 1e-6, "peak_mib": peak_mib, "version": "1"}
    return {"peer": peer, "network": network, "samples_ms": samples, **facts}


def test_verdicts_compare_edgevid_with_each_peer_and_the_memory():
    rows = [
        row("edgevid", "tsm", *(9, 18) * 3, peak_mib=90),
        row("onnxruntime", "tsn", *(10, 20) * 3),
        row("onnxruntime", "tsm-cat", *(8, 16) * 3),
    ]
    content = report.document(ENVIRONMENT, OPTIONS, [with_case({"contestants": rows})])
    verdicts = {one["measure"].partition(": ")[2]: one for one in content["bounds"]}
    time_row = verdicts["edgevid tsm / onnxruntime tsn"]
    assert (time_row["value"]["median"], time_row["verdict"]) == (0.9, "met")
    memory_row = verdicts["peak memory, edgevid tsm / onnxruntime tsm-cat"]
    assert (memory_row["value"], memory_row["verdict"]) == (0.9, "met")
    assert verdicts["edgevid tsm / executorch tsm"]["verdict"] == "not measured: left out by --peers"
    under = {one["under"]: one["median"] for one in content["ratios"]}
    assert under == {"onnxruntime tsn": 0.9, "onnxruntime tsm-cat": 1.125}


def test_other_sizes_have_ratios_but_no_verdict():
    rows = [row("edgevid", "tsm", 9), row("onnxruntime", "tsn", 10)]
    case = with_case({"contestants": rows}, size=64)
    verdict = report.document(ENVIRONMENT, OPTIONS, [case])["bounds"][0]
    assert verdict["value"]["median"] == 0.9
    assert verdict["verdict"].startswith("no verdict: the bounds are for 8 x 224 x 224")


def test_names_that_do_not_exist_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["--peers", "edgevid,tensorflow"])
    assert "unknown name 'tensorflow': use edgevid, onnxruntime" in capsys.readouterr().err


def test_a_folder_for_the_json_that_is_missing_is_noticed_before_any_work(tmp_path, capsys):
    assert command.main(["--json", str(tmp_path / "missing" / "peers.json")]) == 2
    assert "create it first" in capsys.readouterr().err


PREPARE_WITH_ONE_TABLE = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
import traced_once
traced_once.install()
runpy.run_module("edgevid.benchmarks.experiments.peers.prepare", run_name="__main__")
"""
"""The preparing process; its four exports share PyTorch's table of operators, as a test worker's do."""


@pytest.mark.long
def test_a_small_real_run_measures_edgevid_and_onnxruntime(tmp_path, capsys, monkeypatch):
    tests = str(Path(__file__).parents[2])
    monkeypatch.setattr(case_runner, "PREPARE", (sys.executable, "-c", PREPARE_WITH_ONE_TABLE, tests))
    target = tmp_path / "peers.json"
    sizes = ["--size", "64", "--frames", "2", "--pairs", "2", "--warm-ups", "0", "--threads", "1"]
    names = ["--models", "mobilenet_v2", "--modes", "streaming", "--peers", "edgevid,onnxruntime"]
    assert command.main([*names, *sizes, "--json", str(target)]) == 0
    content = json.loads(target.read_text())
    (case,) = content["cases"]
    assert {(row["peer"], row["network"]) for row in case["contestants"]} == {
        (peer, network) for peer in ("edgevid", "onnxruntime") for network in ("tsn", "tsm")
    }
    (shifts,) = [row["kernels"] for row in case["contestants"] if row["kernels"]]
    assert sum(shifts.values()) == 10  # MobileNetV2 has ten blocks with a shortcut
    for candidate in case["contestants"]:
        assert candidate["error"] is None
        assert candidate["max_rel"] < 1e-4
        assert len(medians_of_turns(candidate["samples_ms"])) == 2
        assert candidate["peak_mib"] > candidate["baseline_mib"]
    assert content["environment"]["date_utc"]
    assert content["options"]["weights_seed"] == 0
    assert set(content["versions"]) == {"edgevid", "onnxruntime"}
    assert str(Path.home()) not in target.read_text()
    assert "edgevid tsm / onnxruntime tsn" in capsys.readouterr().out

"""The search on simulated networks: the best within the budget, its neighbors, and how few are measured."""

from __future__ import annotations

import dataclasses

import pytest
from one_bundle import CLIP, write_bundle
from one_comparison import process

from edgevid.benchmarks.compare.accuracy import of_published
from edgevid.benchmarks.compare.candidates import Candidate, Choices
from edgevid.benchmarks.compare.comparison import Tools
from edgevid.benchmarks.search.budget import parse
from edgevid.benchmarks.search.report import report
from edgevid.benchmarks.search.search import Search
from edgevid.benchmarks.search.space import Option, options_of, searchable
from edgevid.errors import BenchmarkError, ExportError
from edgevid.targets import TARGETS

# GMACs, milliseconds per GMAC, top-1
NETWORKS = {
    "tiny": (1, 10, 0.50), "small": (3, 8, 0.60), "medium": (10, 5, 0.70), "large": (30, 4, 0.75),
    "huge": (100, 4, 0.80), "vast": (1000, 4, 0.85),
}  # fmt: skip


class Lab:
    """Bundles that are only manifests, and their simulated times; ``runs`` are the measured bundles."""

    def __init__(self, folder) -> None:
        self.runs: list[str] = []
        self.noise = 1.0
        self.options = []
        for name, (gmacs, _, top1) in NETWORKS.items():
            path = str(write_bundle(folder / name, dataclasses.replace(CLIP, model=name)).path)
            accuracy = {
                **of_published(None),
                "top1": top1,
                "kind": "published",
                "dataset": "K",
                "protocol": "p",
                "source": "s",
            }
            self.options.append(
                Option(
                    Candidate(name, path=path),
                    name,
                    8,
                    224,
                    "fp32",
                    False,
                    gmacs * 1e9,
                    10.0 * gmacs,
                    accuracy,
                )
            )

    def measure(self, path: str):
        name = path.rpartition("/")[2]
        self.runs.append(name)
        gmacs, ms, _ = NETWORKS[name]
        first = self.runs.count(name) == 1
        return process(gmacs * ms * (self.noise if first else 1.0), memory_mib={"peak": 50.0 + 10 * gmacs})

    def evaluate(self, path: str):
        top1 = NETWORKS[path.rpartition("/")[2]][2]
        return {
            "top1": top1,
            "top1_interval": [top1 - 0.01, top1 + 0.01],
            "protocol": "1 crop",
            "dataset": "digits",
            "remarks": [],
        }

    def search(self, *budgets: str, **changes):
        tools = Tools(lambda item: item.path, self.measure, **changes)
        return Search(self.options, [parse(text) for text in budgets], tools, rounds=3).run()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def names(document):
    steps = (document["step_up"], document["step_down"])
    up, down = (step and step["point"]["model"] for step in steps)
    return up, document["best"] and document["best"]["model"], down


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("latency=60ms", ("large", "medium", "small")),
        ("latency=130ms", ("huge", "large", "medium")),
        ("latency=12ms", ("small", "tiny", None)),
        ("latency=90s", (None, "vast", "huge")),
        ("latency=1ms", ("tiny", None, None)),
        ("memory=160MiB", ("large", "medium", "small")),
    ],
)
def test_the_best_within_the_budget_and_its_neighbors(lab, budget, expected):
    assert names(lab.search(budget)) == expected


def test_few_are_measured_and_the_proposal_several_times(lab):
    document = lab.search("latency=60ms")
    assert set(lab.runs) == {"tiny", "large", "medium", "small"}
    assert {name: lab.runs.count(name) for name in ("large", "medium", "small")} == dict.fromkeys(
        ("large", "medium", "small"), 4
    )
    skipped = {item["model"]: item["why"] for item in document["skipped"]}
    assert set(skipped) == {"huge", "vast"} and "times the budget" in skipped["vast"]
    assert len(document["best"]["processes"]) == 3


def test_a_step_says_what_it_costs(lab):
    document = lab.search("latency=60ms")
    assert all(item["pareto"] for item in document["points"]), "each costs more and is better"
    more = document["step_up"]["more"]
    assert more["top1"] == pytest.approx(0.05) and more["latency_ms"] == pytest.approx(70)
    text = report(document)
    assert (
        "within 60 ms: medium fp32" in text and "one step up: large" in text and "+5 points, +70 ms" in text
    )
    assert "not measured: " in text and "(published)" in text


def test_a_proposal_that_only_seemed_to_fit_is_replaced(lab):
    lab.noise = 0.5
    document = lab.search("latency=70ms")
    assert names(document) == ("large", "medium", "small")


def test_nothing_within_the_budget_names_the_nearest(lab):
    document = lab.search("latency=1ms")
    assert "nothing is within 1 ms: the nearest is tiny" in report(document)
    assert document["step_up"]["load"] == pytest.approx(10)


def test_several_budgets_all_hold(lab):
    assert names(lab.search("latency=60ms", "memory=90MiB"))[1] == "small"


def test_energy_without_a_sensor_is_refused(lab):
    with pytest.raises(BenchmarkError, match="energy cannot be measured"):
        lab.search("energy=5mJ")


def test_with_a_data_set_accuracies_are_measured_for_what_is_near_the_budget(lab):
    evaluated = []

    def evaluate(path):
        evaluated.append(path.rpartition("/")[2])
        return lab.evaluate(path)

    lab.options = [dataclasses.replace(option, accuracy=of_published(None)) for option in lab.options]
    document = lab.search("latency=60ms", evaluate=evaluate)
    assert names(document) == ("large", "medium", "small")
    assert evaluated == ["tiny", "small", "medium", "large", "huge"], "two over the budget, and no more"
    assert document["best"]["accuracy"]["kind"] == "measured"
    assert [item["model"] for item in document["skipped"]] == ["vast"]


def test_what_fails_is_a_reason_and_not_the_end(lab):
    measure = lab.measure

    def failing(path):
        if path.endswith("medium"):
            raise BenchmarkError("it crashed")
        return measure(path)

    lab.measure = failing
    document = lab.search("latency=60ms")
    assert names(document)[1] == "small"
    assert [(item["model"], item["why"]) for item in document["failures"]] == [("medium", "it crashed")]
    assert "failed (1): it crashed" in report(document)


def test_an_accuracy_that_nobody_published_is_no_candidate(lab):
    lab.options[2] = dataclasses.replace(lab.options[2], accuracy=of_published(None))
    document = lab.search("latency=60ms")
    assert names(document)[1] == "small"
    assert any("nobody published" in item["why"] for item in document["skipped"] if item["model"] == "medium")


def test_the_networks_of_the_zoo_have_their_published_inputs_and_costs():
    found = options_of(["tsm_r50", "tsm_mbv2"], [], Choices(), TARGETS["cpu"], None)
    assert [(item.model, item.frames, item.precision) for item in found] == [
        ("tsm_r50", 8, "fp32"), ("tsm_r50", 16, "fp32"), ("tsm_mbv2", 8, "fp32"),
    ]  # fmt: skip
    assert found[1].macs == 2 * found[0].macs and all(item.top1 for item in found)
    assert found[0].accuracy["dataset"] == "Kinetics-400"


def test_every_combination_of_the_options_is_searched(tmp_path):
    bundle = write_bundle(tmp_path / "mine")
    choices = Choices(frames=[4, 8], sizes=[112, 224], precisions=["fp32", "int8"])
    found = options_of(["tsm_mbv2"], [str(bundle.path)], choices, TARGETS["cpu"], None)
    assert len(found) == 9 and found[0].model == "tiny" and found[0].macs == 1000
    assert {item.macs for item in found[1:]} == {found[-1].macs / factor for factor in (1, 2, 4, 8)}
    assert [item.top1 is not None for item in found].count(True) == 1, "8 frames of 224 pixels in fp32"


def test_images_flow_and_detectors_are_not_searched():
    found = searchable()
    assert "tsm_r50" in found and not {"mobilenet_v1", "tsm_r50_flow", "tsm_r50_fpn"} & set(found)


def test_an_export_that_fails_is_a_reason(lab):
    lab.options = [dataclasses.replace(lab.options[0], candidate=Candidate("gone"))]

    def bundle_of(item):
        raise ExportError("it cannot be traced")

    tools = Tools(bundle_of, lab.measure)
    document = Search(lab.options, [parse("latency=60ms")], tools, rounds=1).run()
    assert document["best"] is None and document["failures"][0]["why"] == "it cannot be traced"
    assert report(document).endswith("nothing is within 60 ms")


def test_what_a_checkpoint_costs_is_not_known_before_its_export():
    """It may be of another width, so it must not be skipped for the MACs and bytes of the full network."""
    choices = Choices(weights={"tsm_mbv2": "half_as_wide.pt"})
    (option,) = options_of(["tsm_mbv2"], [], choices, TARGETS["cpu"], None)
    assert (option.macs, option.weights_mib) == (None, None)

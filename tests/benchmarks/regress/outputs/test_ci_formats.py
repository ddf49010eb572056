"""The verdict in the formats that CI systems read: as each of them wants it, whatever a bundle is called."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from edgevid.benchmarks.regress.outputs import FORMATS, Source
from edgevid.benchmarks.regress.outputs.markdown import sparkline

SOURCE = Source("nets/my network.py", 7)
VERDICTS = ("pass", "improvement", "regression", "inconclusive")
HOSTILE = "x\n::error::y|<script>`[a](http://b)\x1b[2J\x00" + "z" * 200_000


def rendered(name: str, document: dict) -> str:
    return FORMATS[name](document, SOURCE)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_markdown_has_the_verdict_and_a_row_per_metric(document, verdict):
    text = rendered("markdown", document(verdict, slower=1.1))
    assert f"**{verdict}**" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4 and {row.count("|") - row.count(r"\|") for row in rows} == {8}
    assert rows[2].endswith("| ████████████ |") and rows[3].endswith("|  |")


def test_markdown_says_how_energy_was_measured_and_what_was_not_compared(document):
    verdict = document("pass")
    sensor = {"name": "INA3221: VDD_IN", "scope": "board", "simulated": True}
    energy = {
        **verdict["metrics"][0], "name": "energy_mj_per_clip", "power_sensor": sensor, "pairs": 9,
        "discarded_pairs": 1, "uncertainty": {"baseline": [1.0, 3.0, 2.0], "candidate": [2.0]},
    }  # fmt: skip
    verdict["metrics"].append(energy)
    verdict["not_measured"] = {"latency_p99_ms": "too few samples", "accuracy_top1": "pass --dataset DIR"}
    assert [line for line in rendered("markdown", verdict).splitlines() if line.startswith("- ")] == [
        r"- energy: 9 pairs (1 more discarded), board by INA3221: VDD\_IN, simulated, without idle power; "
        "each within 2 and 2 mJ",
        r"- not compared: latency\_p99\_ms (too few samples)",
        r"- not compared: accuracy\_top1 (pass --dataset DIR)",
    ]


def test_a_line_of_blocks_shows_each_pair_or_the_median_of_some():
    assert sparkline([1.0, 1.0, 1.03, 0.97], 0.03) == "▅▅█▁"
    assert sparkline([1.0] * 20 + [50.0] + [1.05] * 9, 0.03)[20:22] == "██", "an outlier hides nothing"
    long = sparkline([0.9] * 500 + [1.1] * 500, 0.03)
    assert long == "▁" * 20 + "█" * 20
    assert sparkline([], 0.03) == ""


def test_markdown_stays_far_under_the_limit_and_shows_names_as_they_are(document):
    text = rendered("markdown", document("regression", 1.1, pairs=20_000, model=HOSTILE))
    assert len(text.encode()) < 10_000
    assert r"x ::error::y\|\<script\>\`\[a\](http:\/\/b)" in text


@pytest.mark.parametrize(
    ("verdict", "failures", "skipped"),
    [("pass", 0, 0), ("improvement", 0, 0), ("regression", 1, 0), ("inconclusive", 0, 2)],
)
def test_junit_fails_on_a_regression_and_skips_what_is_inconclusive(document, verdict, failures, skipped):
    suite = ElementTree.fromstring(rendered("junit", document(verdict, slower=1.1)))[0]
    assert (len(suite.findall("*/failure")), len(suite.findall("*/skipped"))) == (failures, skipped)
    assert (suite.get("failures"), suite.get("skipped")) == (str(failures), str(skipped))
    assert int(suite.get("tests")) == len(suite.findall("testcase"))
    for failure in suite.findall("*/failure"):
        assert "+10.0%" in failure.get("message") and failure.get("type") == "regression"


def test_a_run_without_a_pair_is_skipped_in_junit_too(document):
    suite = ElementTree.fromstring(rendered("junit", document("inconclusive", pairs=0)))[0]
    (case,) = (case for case in suite.findall("testcase") if case.find("skipped") is not None)
    assert case.get("name") == "verdict" and "raise --budget" in case.find("skipped").get("message")


def test_sarif_points_at_the_network_with_a_fingerprint_that_no_line_changes(document):
    first, second = (
        json.loads(FORMATS["sarif"](document("regression", slower=1.1), source))
        for source in (SOURCE, Source("nets/my network.py", 99))
    )
    assert first["version"] == "2.1.0" and first["$schema"].endswith("sarif-2.1.0.json")
    (run,) = first["runs"]
    (result,) = run["results"]
    assert result["level"] == "error" and result["ruleId"] in {
        r["id"] for r in run["tool"]["driver"]["rules"]
    }
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "nets/my%20network.py" and place["region"]["startLine"] == 7
    assert result["partialFingerprints"] == second["runs"][0]["results"][0]["partialFingerprints"]


@pytest.mark.parametrize(
    ("name", "level"),
    [("sarif", '"level": "note"'), ("github", "::notice "), ("gitlab", '"severity": "info"')],
)
def test_inconclusive_is_a_notice_and_no_error(document, name, level):
    text = rendered(name, document("inconclusive"))
    assert level in text and "error" not in text and "raise --budget" in text


@pytest.mark.parametrize("verdict", ["pass", "improvement"])
def test_good_news_annotates_nothing(document, verdict):
    assert rendered("github", document(verdict)) == ""
    assert json.loads(rendered("gitlab", document(verdict))) == []
    assert json.loads(rendered("sarif", document(verdict)))["runs"][0]["results"] == []


def test_an_annotation_is_one_line_with_its_text_escaped(document):
    source = Source("a,b:c\n::error::d.py", 3)
    text = FORMATS["github"](document("regression", slower=1.1), source)
    assert text.startswith("::error file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ad.py,line=3,title=edgevid regress%3A ")
    assert text.count("\n") == 1 and "+10.0%25" in text


def test_ten_annotations_at_most_are_written(document):
    verdict = document("regression", slower=1.1)
    verdict["metrics"] *= 30
    assert rendered("github", verdict).count("::error ") == 10


def test_gitlab_gets_what_its_format_demands(document):
    (issue,) = json.loads(rendered("gitlab", document("regression", slower=1.1)))
    assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert issue["location"] == {"path": "nets/my network.py", "lines": {"begin": 7}}
    assert issue["severity"] == "major"


@pytest.mark.parametrize("verdict", ["regression", "inconclusive"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_hostile_name_breaks_no_format(document, name, verdict):
    text = rendered(name, document(verdict, slower=1.1, model=HOSTILE))
    assert "\x1b" not in text and "\x00" not in text
    assert not any(line.startswith("::error::y") for line in text.splitlines())
    if name == "junit":
        ElementTree.fromstring(text)

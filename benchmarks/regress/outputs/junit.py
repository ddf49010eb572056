"""JUnit XML, which GitLab, Jenkins and most others show: a test per metric."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from edgevid.benchmarks.regress.metrics import INCONCLUSIVE, REGRESSION
from edgevid.benchmarks.regress.outputs.findings import Source, is_undecided, printable
from edgevid.benchmarks.regress.report import described, sentence


def render(verdict: dict[str, Any], source: Source) -> str:
    """A regression is a failure; what is inconclusive is skipped, with a test ``verdict`` that says why."""
    cases = [
        (metric["name"], metric["verdict"], described(metric, verdict["threshold"]))
        for metric in verdict["metrics"]
    ]
    if is_undecided(verdict):
        cases.append(("verdict", INCONCLUSIVE, sentence(verdict)))
    verdicts = [case[1] for case in cases]
    counts = {
        "tests": str(len(cases)),
        "failures": str(verdicts.count(REGRESSION)),
        "errors": "0",
        "skipped": str(verdicts.count(INCONCLUSIVE)),
        "time": f"{verdict['seconds']:.3f}",
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "edgevid regress", **counts})
    for name, result, message in cases:
        attributes = {
            "name": name,
            "classname": printable(verdict["candidate"]["model"]),
            "file": source.path,
            "time": "0",
        }
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if result == REGRESSION:
            ElementTree.SubElement(case, "failure", message=printable(message), type=REGRESSION)
        elif result == INCONCLUSIVE:
            ElementTree.SubElement(case, "skipped", message=printable(message))
        else:
            ElementTree.SubElement(case, "system-out").text = printable(message)
    ElementTree.SubElement(suite, "system-out").text = printable(sentence(verdict))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, "unicode", xml_declaration=True) + "\n"

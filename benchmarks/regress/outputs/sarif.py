"""SARIF 2.1.0, which GitHub's code scanning shows at the network's file."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from edgevid import __version__
from edgevid.benchmarks.regress.outputs.findings import Finding, Source, findings


def render(verdict: dict[str, Any], source: Source) -> str:
    """A result per regression, or a note that something was not decided."""
    found = findings(verdict)
    rules = [{"id": finding.rule, "shortDescription": {"text": _title(finding.rule)}} for finding in found]
    run = {
        "tool": {"driver": {"name": "edgevid", "version": __version__, "rules": rules}},
        "results": [_result(finding, verdict["candidate"]["model"], source) for finding in found],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=1) + "\n"


def _result(finding: Finding, model: str, source: Source) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": quote(source.path)}, "region": {"startLine": source.line}}
    return {
        "ruleId": finding.rule,
        "level": "error" if finding.is_error else "note",
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"edgevidRegress/v1": finding.fingerprint(model)},
    }


def _title(rule: str) -> str:
    return f"edgevid regress: {rule.replace('_', ' ')}"

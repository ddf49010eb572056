"""GitLab's code quality report, which a merge request shows at the network's file."""

from __future__ import annotations

import json
from typing import Any

from edgevid.benchmarks.regress.outputs.findings import Source, findings


def render(verdict: dict[str, Any], source: Source) -> str:
    """A major issue per regression, or one of severity ``info`` that something was not decided."""
    model = verdict["candidate"]["model"]
    issues = [
        {
            "description": finding.message,
            "check_name": f"edgevid regress: {finding.rule}",
            "fingerprint": finding.fingerprint(model),
            "severity": "major" if finding.is_error else "info",
            "location": {"path": source.path, "lines": {"begin": source.line}},
        }
        for finding in findings(verdict)
    ]
    return json.dumps(issues, indent=1) + "\n"

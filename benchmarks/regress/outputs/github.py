"""Workflow commands, which GitHub shows as annotations: https://docs.github.com/actions."""

from __future__ import annotations

from typing import Any

from edgevid.benchmarks.regress.outputs.findings import Finding, Source, findings

LIMIT = 10
"""Annotations of a kind that GitHub shows of a step."""


def render(verdict: dict[str, Any], source: Source) -> str:
    """An error per regression, or a notice that something was not decided; a line each."""
    return "".join(_command(finding, source) for finding in findings(verdict)[:LIMIT])


def _command(finding: Finding, source: Source) -> str:
    kind = "error" if finding.is_error else "notice"
    title = f"edgevid regress: {finding.rule}"
    properties = f"file={_property(source.path)},line={source.line},title={_property(title)}"
    return f"::{kind} {properties}::{_data(finding.message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

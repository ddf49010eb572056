"""The verdict of ``edgevid regress`` in the formats that CI systems read: ``--report FORMAT:FILE``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgevid.benchmarks.regress.outputs import github, gitlab, junit, markdown, sarif
from edgevid.benchmarks.regress.outputs.findings import Source, source_of

Render = Callable[["dict[str, Any]", Source], str]
"""Text from the document of ``edgevid regress --json`` and where its findings point."""

__all__ = ["FORMATS", "Source", "source_of"]

FORMATS: dict[str, Render] = {
    "markdown": markdown.render,
    "junit": junit.render,
    "sarif": sarif.render,
    "github": github.render,
    "gitlab": gitlab.render,
}

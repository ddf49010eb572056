"""What a reviewer should see of a verdict, and at which file of the repository."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.regress.metrics import REGRESSION
from edgevid.benchmarks.regress.report import described
from edgevid.host import commands

NOT_DECIDED = "not_decided"


@dataclass(frozen=True)
class Source:
    """A file, relative to the repository, and a line in it."""

    path: str
    line: int = 1


@dataclass(frozen=True)
class Finding:
    """A metric that regressed; or, no ``is_error``, what was not decided. ``rule`` names either."""

    rule: str
    is_error: bool
    message: str

    def fingerprint(self, model: str) -> str:
        """The same in every run, wherever the network's code moves in its file."""
        return hashlib.sha256(f"{model}\n{self.rule}".encode()).hexdigest()


def findings(verdict: dict[str, Any]) -> list[Finding]:
    """Each metric that regressed; or what could not be decided and why, with what to do."""
    worse = [metric for metric in verdict["metrics"] if metric["verdict"] == REGRESSION]
    found = [Finding(metric["name"], True, described(metric, verdict["threshold"])) for metric in worse]
    if is_undecided(verdict):
        found.append(Finding(NOT_DECIDED, False, f"{verdict['verdict']}: {verdict['why']}"))
    return found


def is_undecided(verdict: dict[str, Any]) -> bool:
    """Whether something could not be decided, even of a verdict that passes by the sizes alone."""
    return verdict["verdict"] != REGRESSION and bool(verdict["why"])


def source_of(model: str, bundle: Path) -> Source:
    """Where this repository defines a network of one's own; the manifest of its bundle for any other.

    A bundle knows the name of the function or class alone, so it must be at the top of one tracked file.
    """
    if model.isidentifier():
        command = [
            "git",
            "-c",
            "core.quotePath=off",
            "grep",
            "--full-name",
            "--line-number",
            "--extended-regexp",
        ]
        hits = commands.run([*command, rf"^(def|class) {model}\b", "--", ":/*.py"]).output
        places = re.findall(r"^(.+?):(\d+):(?:def|class) ", hits, re.MULTILINE)
        if len(places) == 1:
            return Source(places[0][0], int(places[0][1]))
    root = commands.run(["git", "rev-parse", "--show-toplevel"]).output
    manifest = (bundle / "manifest.json").resolve()
    if root and manifest.is_relative_to(root):
        return Source(manifest.relative_to(root).as_posix())
    return Source((bundle / "manifest.json").as_posix())


def printable(text: str) -> str:
    """``text`` without control characters: terminals obey them, and XML cannot have them."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)

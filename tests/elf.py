"""What a shared library asks of the system, as ``readelf`` prints it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Needs:
    """Libraries; undefined symbols with their versions, without weak ones; how its segments are aligned."""

    libraries: set[str]
    symbols: set[str]
    thread_locals: bool
    alignments: set[int]


def needs_of(library: Path) -> Needs:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed: apt install binutils")
    text = subprocess.run(
        ["readelf", "--wide", "--dynamic", "--dyn-syms", "--program-headers", str(library)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = [line.split() for line in text.splitlines()]
    loads = [row for row in rows if row[:1] == ["LOAD"]]
    assert loads, "readelf prints something else now"
    return Needs(
        set(re.findall(r"\(NEEDED\).*\[(.+)\]", text)),
        {row[7] for row in rows if len(row) > 7 and row[6] == "UND" and row[4] == "GLOBAL"},
        any(row[:1] == ["TLS"] for row in rows),
        {int(row[-1], 16) for row in loads},
    )

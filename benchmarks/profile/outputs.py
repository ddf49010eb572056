"""What is asked of a profile, and its files, which are checked before anything is measured."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.errors import BenchmarkError
from edgevid.host.files import atomic_write

PICTURES = (".svg", ".png")


@dataclass(frozen=True)
class Outputs:
    """Whether there is to be a profile, and where its picture and its trace go, which imply it."""

    profile: bool = False
    plot: Path | None = None
    trace: Path | None = None

    @property
    def are_wanted(self) -> bool:
        return bool(self.profile or self.plot or self.trace)

    def check(self, bundles: int, detached: bool = False) -> None:
        """``BenchmarkError`` if a file cannot be written, or would hold the profiles of several bundles, or
        if nobody would wait for it."""
        if detached and self.are_wanted:
            raise BenchmarkError(
                "a board that measures alone makes no profile: use --profile without --detach"
            )
        for option, path in (("--plot", self.plot), ("--trace", self.trace)):
            if path is None:
                continue
            if bundles > 1:
                raise BenchmarkError(f"{option} is the profile of one bundle, not of {bundles}: pass one")
            if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
                raise BenchmarkError(
                    f"cannot write '{path}': choose a file in a folder that you can write to for {option}"
                )
        if self.plot is not None:
            if self.plot.suffix not in PICTURES:
                raise BenchmarkError(
                    f"--plot '{self.plot}' is neither an .svg nor a .png file: use one of these suffixes"
                )
            if importlib.util.find_spec("matplotlib") is None:
                raise BenchmarkError("--plot needs matplotlib: pip install 'edgevid[report]'")

    def write(self, result: dict[str, Any]) -> None:
        """Write the files of ``result``, and take from its profile what only the trace shows."""
        profile = result.get("profile")
        if profile is None:
            return
        events = profile.pop("trace", [])
        if self.trace is not None:
            atomic_write(self.trace, json.dumps(events, allow_nan=False).encode())
        if self.plot is not None and "layers" in profile:
            from edgevid.benchmarks.profile.plot import picture

            atomic_write(self.plot, picture(result, self.plot.suffix.removeprefix(".")))

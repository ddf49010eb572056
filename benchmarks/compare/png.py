"""An SVG as PNG, by a Chromium in headless mode: so the two pictures are the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from edgevid.benchmarks.compare.chart import HEIGHT, WIDTH
from edgevid.errors import BenchmarkError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCALE, LIMIT_S = 2, 60


def find_browser() -> str:
    """Its path; ``BenchmarkError`` if there is none."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise BenchmarkError(
        "a .png needs Chromium or Chrome, which is not here: install it, or use --plot FILE.svg"
    )


def png(svg: str, browser: str | None = None) -> bytes:
    """The picture at twice its size; ``BenchmarkError`` with what the browser says if it cannot."""
    with tempfile.TemporaryDirectory(prefix="edgevid-plot-") as folder:
        source, target = Path(folder, "chart.svg"), Path(folder, "chart.png")
        source.write_text(svg, "utf-8")
        command = [
            browser or find_browser(), "--headless", "--hide-scrollbars", f"--screenshot={target}",
            f"--window-size={WIDTH},{HEIGHT}", f"--force-device-scale-factor={SCALE}",
            f"--user-data-dir={folder}/profile", source.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses to sandbox itself for root
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchmarkError(f"{command[0]} drew no picture ({error}): use --plot FILE.svg") from error
        if not target.exists():
            said = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BenchmarkError(f"{command[0]} drew no picture ({said}): use --plot FILE.svg")
        return target.read_bytes()

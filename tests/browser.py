"""A real browser, Debian's Chromium, without a network; and axe, which finds what keeps people out."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def axe(folder: Path) -> str:
    """The script axe-core, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed (Debian: apt install npm), which fetches axe-core")
    done = subprocess.run(
        ["npm", "pack", "--silent", "axe-core"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch axe-core: {done.stderr.strip()[:200]}")
    with tarfile.open(folder / done.stdout.split()[-1]) as package:
        script = package.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def opened(browser: Any, file: Path, **options: Any) -> tuple[Any, list[str]]:
    """The page of ``file``, and what it complains about in the console from now on."""
    complaints: list[str] = []
    page = browser.new_context(offline=True, **options).new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    return page, complaints


def violations(page: Any, *rules: str) -> list[str]:
    """What axe, a script in the page, finds by these rules, by default all."""
    options = {"runOnly": list(rules)} if rules else {}
    found = page.evaluate("(options) => axe.run(options).then((result) => result.violations)", options)
    return [f"{item['id']}: {item['nodes'][0]['html']}" for item in found]

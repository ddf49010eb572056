"""Trees of small files that stand for a data set; the videos are empty, for opening one opens none."""

from __future__ import annotations

import pytest


@pytest.fixture
def plant(tmp_path):
    """Write empty files, and files with texts by their names; returns the root of the tree."""

    def write(*empty, **texts):
        for name, text in {**dict.fromkeys(empty, ""), **texts}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write

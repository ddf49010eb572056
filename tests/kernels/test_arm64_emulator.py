"""An emulated arm64 computer is made only where it can be, and says in one line what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from arm64 import emulator


def test_what_is_missing_is_named_in_one_line_with_the_command(tmp_path):
    result = subprocess.run(
        [sys.executable, emulator.__file__, str(tmp_path / "arm64")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    for package in (*emulator.TOOLS.values(), "qemu-user-static"):
        assert package in line.split("apt-get install")[1]
    assert not (tmp_path / "arm64").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(emulator, "missing", list)
    (tmp_path / "mine").touch()
    with pytest.raises(emulator.CannotMake, match="holds something else"):
        emulator.make(tmp_path)
    assert (tmp_path / "mine").exists()

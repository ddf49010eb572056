"""A short video, and ``edgevid run`` with a network that needs no bundle."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fake_session import FakeSession

import edgevid
from edgevid.cli import main


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """One second of dark, then two of bright, at 10 frames/s."""
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 if i < 10 else 235, np.uint8), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command with a session; give its exit status, stdout and stderr."""

    def call(session: FakeSession, *arguments: object) -> tuple[int, str, str]:
        opened: list[tuple] = []

        def fake_open(path: str, threads: int | None, device: str, shares_cores: bool) -> FakeSession:
            assert shares_cores, "a decoder runs in the same process"
            opened.append((path, threads, device))
            return session

        monkeypatch.setitem(vars(edgevid), "open", fake_open)
        session.opened = opened
        with pytest.raises(SystemExit) as left:
            main(["run", "some.bundle", *map(str, arguments)])
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return call

"""``edgevid run`` on files, folders and patterns: a line each, and a bad one is skipped and counted."""

from __future__ import annotations

import json
import shutil

import pytest
from fake_session import FakeSession


@pytest.fixture
def folder(tmp_path, video):
    """``clips/`` with two videos, one of them deeper, one that is broken, and what is no video."""
    clips = tmp_path / "clips"
    (clips / "deeper").mkdir(parents=True)
    shutil.copy(video, clips / "a.mp4")
    shutil.copy(video, clips / "deeper" / "b")
    (clips / "broken.mp4").write_bytes(bytes(500))
    (clips / "notes.txt").write_text("no video")
    return clips


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_gives_a_line_for_each_video(run, folder, streaming):
    session = FakeSession(streaming=streaming)
    status, out, err = run(session, "--video", folder, "--top", 2)
    assert status == 0
    first, second = out.splitlines()
    assert first.startswith(f"{folder / 'a.mp4'}: bright 0.") and ", dark 0." in first
    assert second.startswith(f"{folder / 'deeper' / 'b'}: bright 0.")
    skipped, counts = err.splitlines()
    assert skipped.startswith("edgevid: skipped: ") and "broken.mp4" in skipped
    assert counts == "3 videos, 1 skipped"
    assert len(session.opened) == 1


@pytest.mark.parametrize("streaming", [False, True])
def test_json_lines_are_what_a_single_video_gives(run, folder, streaming):
    _, out, _ = run(FakeSession(streaming=streaming), "--video", folder, "--json")
    results = [json.loads(line) for line in out.splitlines()]
    assert [r["video"]["path"] for r in results] == [str(folder / "a.mp4"), str(folder / "deeper" / "b")]
    _, out, _ = run(FakeSession(streaming=streaming), "--video", folder / "a.mp4", "--json")
    alone = json.loads(out)
    assert out.count("\n") > 10, "a single file keeps its indented JSON"
    assert set(results[0]) == set(alone)
    assert results[0]["predictions"] == alone["predictions"]
    assert results[0]["video"] == alone["video"]


def test_a_stream_begins_anew_with_each_video(run, folder, monkeypatch):
    session, streams = FakeSession(streaming=True), []
    monkeypatch.setattr(session, "stream", lambda: streams.append(1) or session, raising=False)
    run(session, "--video", folder / "a.mp4", folder / "deeper" / "b")
    assert len(streams) == 2


def test_several_files_may_follow_one_option_or_have_one_each(run, folder):
    one, two = folder / "a.mp4", folder / "deeper" / "b"
    _, first, _ = run(FakeSession(), "--video", one, two, "--top", 1)
    _, second, _ = run(FakeSession(), "--video", one, "--video", two, "--top", 1)
    assert first == second
    assert [line.partition(":")[0] for line in first.splitlines()] == [str(one), str(two)]


def test_a_quoted_pattern_is_expanded(run, folder, monkeypatch):
    monkeypatch.chdir(folder)
    status, out, err = run(FakeSession(), "--video", "**/*", "--top", 1)
    assert status == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == ["a.mp4", "deeper/b"]
    assert err.splitlines()[-1] == "3 videos, 1 skipped"


def test_a_name_that_stands_for_nothing_is_skipped_like_a_bad_file(run, folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    names = [tmp_path / "gone.mp4", empty, tmp_path / "*.avi", "foo://host/x", folder / "a.mp4"]
    status, out, err = run(FakeSession(), "--video", *names, "--top", 1)
    assert status == 0 and len(out.splitlines()) == 1
    lines = err.splitlines()
    for line, words in zip(
        lines, ["no video at", "contains no videos", "no file matches", "'foo://' are not supported"]
    ):
        assert line.startswith("edgevid: skipped: ") and words in line
    assert lines[-1] == "5 videos, 4 skipped"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_if_none_can_be_read_the_status_is_2(run, folder, as_json):
    bad = folder / "broken.mp4"
    status, out, err = run(FakeSession(), "--video", bad, folder / "gone.mp4", *as_json)
    assert (status, out) == (2, "")
    assert (
        err.splitlines()[-1] == "edgevid: 2 videos, 2 skipped: no video could be read, see the messages above"
    )
    assert len(err.splitlines()) == 3


def test_a_folder_without_videos_is_said(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    status, out, err = run(FakeSession(), "--video", tmp_path)
    assert (status, out) == (2, "")
    assert "contains no videos" in err and err.splitlines()[-1].startswith("edgevid: 1 video, 1 skipped")


def test_a_network_that_cannot_be_shown_is_refused_once(run, folder, monkeypatch):
    import numpy as np

    monkeypatch.setattr(FakeSession, "run", lambda *_: {"boxes": np.zeros((1, 100, 4), np.float32)})
    status, out, err = run(FakeSession(), "--video", folder)
    assert (status, out) == (2, "") and err.count("output 'boxes'") == 1

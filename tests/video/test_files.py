"""Folders and patterns give every video in them once, whatever its suffix, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from edgevid.errors import VideoError
from edgevid.video.files import expand, holds_video, videos_in


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def encode(path: Path, format_name: str, codec: str, frames: int = 3, pixels: str = "yuv420p") -> Path:
    with av.open(str(path), "w", format=format_name) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for i in range(frames):
            image = np.full((48, 64, 3), 60 + 40 * i, np.uint8)
            image[:, 8 * i : 8 * i + 8] = 250
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    "name,format_name,codec,pixels",
    [
        ("a.ts", "mpegts", "mpeg2video", "yuv420p"),
        ("a.mts", "mpegts", "libx264", "yuv420p"),
        ("a.M2TS", "mpegts", "libx264", "yuv420p"),
        ("a.3gp", "3gp", "libx264", "yuv420p"),
        ("a.mpg", "mpeg", "mpeg1video", "yuv420p"),
        ("a.vob", "vob", "mpeg2video", "yuv420p"),
        ("a.gif", "gif", "gif", "rgb8"),
        ("a.apng", "apng", "apng", "rgb24"),
        ("a.h264", "h264", "libx264", "yuv420p"),
        ("a.webm", "webm", "libvpx", "yuv420p"),
        ("a.y4m", "yuv4mpegpipe", "rawvideo", "yuv420p"),
        ("a.swf", "swf", "flv1", "yuv420p"),
        ("camera-1.part", "matroska", "mpeg4", "yuv420p"),
        ("no ending", "mp4", "libx264", "yuv420p"),
    ],
)
def test_a_video_is_found_whatever_its_ending(tmp_path, name, format_name, codec, pixels):
    encode(tmp_path / name, format_name, codec, pixels=pixels)
    assert names(videos_in(tmp_path)) == [name]


def test_what_is_no_video_is_left_out(tmp_path, sound_file):
    for i, suffix in enumerate(("jpg", "png", "bmp", "tif", "gif", "webp")):
        Image.fromarray(np.full((32, 32, 3), 40 * i, np.uint8)).save(tmp_path / f"still.{suffix}")
    (tmp_path / "notes.txt").write_text("a walk in the park\n" * 300)
    (tmp_path / "notes in german.txt").write_bytes("Größe und Maß\n".encode("latin-1") * 300)
    (tmp_path / "labels.json").write_text('{"a": 1}')
    (tmp_path / "words.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "source.ts").write_text("export const answer = 42;\n")
    (tmp_path / "weights").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "zeros").write_bytes(bytes(50_000))
    (tmp_path / "empty").write_bytes(b"")
    np.save(tmp_path / "clip.npy", np.ones(3000))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.mp4")  # opening it would wait for a writer
    assert sound_file.exists()
    assert videos_in(tmp_path) == []


def test_a_long_letter_at_the_end_of_what_is_looked_at_does_not_hide_a_text(tmp_path):
    for shift in range(4):
        path = tmp_path / f"{shift}.txt"
        path.write_text("x" * shift + "語" * 5000, "utf-8")
        assert not holds_video(path)


def test_a_file_that_was_meant_as_a_video_is_taken_so_that_its_fault_is_told(tmp_path):
    (tmp_path / "page.mp4").write_text("<html>404</html>")
    (tmp_path / "cut.MOV").write_bytes(bytes(100))
    (tmp_path / "empty.mkv").write_bytes(b"")
    (tmp_path / "cut.ts").write_bytes(bytes(1000))
    (tmp_path / "dangling.avi").symlink_to(tmp_path / "gone")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert names(videos_in(tmp_path)) == ["cut.MOV", "cut.ts", "dangling.avi", "empty.mkv", "page.mp4"]


def test_hidden_files_and_folders_are_left_out(tmp_path, write_video):
    path = write_video("a.mp4", frames=2)
    (tmp_path / ".cache").mkdir()
    for name in (".a.mp4", "._a.mp4", ".cache/b.mp4"):
        shutil.copy(path, tmp_path / name)
    assert videos_in(tmp_path) == [path]


@pytest.fixture
def store(tmp_path) -> Path:
    """Two classes of two videos each (by their endings; nothing here opens them)."""
    for name in ("jump/1.mp4", "jump/2.mp4", "run/1.mp4", "run/2.mp4"):
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")
    return tmp_path / "store"


def test_links_to_folders_are_followed(tmp_path, store):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "jump").symlink_to(Path("..") / "store" / "jump", target_is_directory=True)
    (linked / "run").symlink_to(store / "run", target_is_directory=True)
    assert [path.relative_to(linked).as_posix() for path in videos_in(linked)] == [
        "jump/1.mp4",
        "jump/2.mp4",
        "run/1.mp4",
        "run/2.mp4",
    ]
    (tmp_path / "root").symlink_to(linked, target_is_directory=True)
    assert len(videos_in(tmp_path / "root")) == 4


@pytest.mark.timeout(30)
def test_links_that_go_round_end(store):
    everything = videos_in(store)
    (store / "jump" / "up").symlink_to(store, target_is_directory=True)
    (store / "run" / "across").symlink_to(store / "jump", target_is_directory=True)
    (store / "jump" / "across").symlink_to(store / "run", target_is_directory=True)
    (store / "itself").symlink_to(store / "itself")
    (store / "above").symlink_to(store.parent.parent, target_is_directory=True)
    assert videos_in(store) == everything


def test_a_folder_reached_by_a_link_too_keeps_its_own_name(store):
    (store / "a link").symlink_to(store / "run", target_is_directory=True)
    assert all("a link" not in path.parts for path in videos_in(store))
    assert len(videos_in(store)) == 4


def test_a_pattern_gives_what_it_matches_in_order(store, monkeypatch):
    monkeypatch.chdir(store)
    assert [str(path) for path in expand("*/2.mp4")] == ["jump/2.mp4", "run/2.mp4"]
    assert [str(path) for path in expand("**/*.mp4")] == [
        "jump/1.mp4",
        "jump/2.mp4",
        "run/1.mp4",
        "run/2.mp4",
    ]
    (store / "notes.txt").write_text("no video")
    assert [str(path) for path in expand("*")] == [str(path) for path in expand("**")]
    assert len(expand("j*")) == 2


def test_a_pattern_follows_links_without_loops(store, tmp_path, monkeypatch):
    monkeypatch.chdir(store)
    plain = expand("**/*.mp4")
    for folder in ("run", "jump"):  # two loops: 2**40 ways for one who follows each
        (store / folder / "all").symlink_to(store, target_is_directory=True)
    assert expand("**/*.mp4") == plain
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "3.mp4").write_bytes(b"video")
    (store / "linked").symlink_to(elsewhere, target_is_directory=True)
    assert [str(path) for path in expand("**/linked")] == ["linked/3.mp4"]
    assert [str(path) for path in expand("**/l*/**/*.mp4")] == ["linked/3.mp4"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path, store):
    path = tmp_path / "take [1].mp4"
    path.write_bytes(b"video")
    (tmp_path / "take 1.mp4").write_bytes(b"another")
    assert expand(str(path)) is None
    assert expand(str(store / "jump" / "1.mp4")) is None
    assert expand(str(store / "absent.mp4")) is None


def test_nothing_to_take_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(VideoError, match="contains no videos"):
        expand(str(tmp_path))
    with pytest.raises(VideoError, match=r"no file matches '.*\*\.mp4'"):
        expand(str(tmp_path / "*.mp4"))
    with pytest.raises(VideoError, match=r"no file that matches .* holds a video"):
        expand(str(tmp_path / "*.txt"))

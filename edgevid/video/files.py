"""Find the video files in a folder or pattern, by probing with FFmpeg rather than by file extension."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import logging
import os
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import av

from edgevid.errors import VideoError
from edgevid.video.address import is_address
from edgevid.video.decode import decoded_frames, open_video
from edgevid.video.source import Source

logger = logging.getLogger("edgevid")

VIDEO_SUFFIX = re.compile(
    r"\.(3g2|3gp|asf|avi|divx|dv|f4v|flv|ivf|m1v|m2t|m2ts|m2v|m4v|mjpg|mk3d|mkv|mov|mp4|mpe|mpeg|mpg|mts|mxf"
    r"|ogm|ogv|qt|rm|rmvb|ts|vob|webm|wmv|wtv|y4m)",
    re.IGNORECASE,
)
"""Files with these suffixes count as videos without being opened, and are reported if they cannot be read.

Any other file is opened, and is a video only if FFmpeg finds one in it.
"""

SOURCE_CODE = (".mts", ".ts")
"""Also the extensions of TypeScript."""

BEGINNING = 4096
"""Bytes to read when testing whether a file is text."""


def videos_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The videos in ``folder`` and below, sorted.

    Hidden files and folders are left out. Links to folders are followed, each folder once, so loops end.
    """
    return sorted(path for path in _files(Path(folder)) if holds_video(path))


def stands_for_several(name: str) -> bool:
    """Whether ``name`` is a folder or a pattern; a file of that very name comes first."""
    return os.path.isdir(name) or (
        glob.has_magic(name) and not os.path.lexists(name) and not is_address(name)
    )


def expand(name: str) -> Sequence[Source] | None:
    """The videos of a folder or of a pattern such as ``clips/**/*.mp4``, sorted; None for any other name.

    A folder that matches a pattern contributes the videos in it. Raises ``VideoError`` if there are none.
    """
    if not stands_for_several(name):
        return None
    if os.path.isdir(name):
        videos = videos_in(name)
        if not videos:
            raise VideoError(f"'{name}' contains no videos: add some, or choose another folder")
        return videos
    matches = _matches(Path(name))
    if not matches:
        raise VideoError(f"no file matches '{name}': check the pattern")
    matched = {path for path in matches if not path.is_dir() and holds_video(path)}
    for folder in filter(Path.is_dir, matches):
        matched.update(videos_in(folder))
    if not matched:
        raise VideoError(f"no file that matches '{name}' holds a video: check the pattern")
    return sorted(matched)


def holds_video(path: Path) -> bool:
    """Whether a file is a video, or has the extension of one; text and still images are not videos."""
    is_meant = VIDEO_SUFFIX.fullmatch(path.suffix) is not None
    if is_meant and path.suffix.lower() not in SOURCE_CODE:
        return True
    return path.is_file() and not _is_text(path) and (is_meant or _moves(path))


def _moves(path: Path) -> bool:
    """Whether FFmpeg decodes two frames of a file; of a still image it decodes one."""
    try:
        with open_video(path) as (container, stream):
            stream.codec_context.thread_count = 1
            frames = decoded_frames(container, stream, str(path), warn=False)
            return len(list(itertools.islice(frames, 2))) == 2
    except (VideoError, av.error.FFmpegError, OSError, ValueError):
        return False


def _is_text(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            data = file.read(BEGINNING)
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        # The beginning may end within a character.
        return error.start > len(data) - 4 and b"\0" not in data
    except OSError:
        return False
    return b"\0" not in data


def _matches(pattern: Path) -> list[Path]:
    """What a pattern matches; with ``**`` files alone, each once: ``glob`` would follow loops of links."""
    if "**" not in pattern.parts:
        return [Path(match) for match in glob.glob(str(pattern))]
    start = pattern.parts.index("**")
    roots = filter(os.path.isdir, glob.glob(str(Path(*pattern.parts[:start]))))
    return [
        file
        for root in map(Path, roots)
        for file in _files(root)
        if _is_below(file.relative_to(root).parts, pattern.parts[start:])
    ]


def _is_below(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path, or a folder that it is in, fits a pattern."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_is_below(parts[i:], pattern[1:]) for i in range(len(parts)))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _is_below(parts[1:], pattern[1:])


def _files(root: Path) -> list[Path]:
    """Every file below ``root`` that is not hidden; dangling links are among them."""
    files: list[Path] = []
    folders, links = deque([root]), deque[Path]()
    real_root = Path(os.path.realpath(root))
    visited: set[str] = set()
    while folders or links:
        # Links come last, so that a folder which is reached both ways has its own name.
        folder = folders.popleft() if folders else links.popleft()
        real = os.path.realpath(folder)
        # A link to a parent folder would include files outside the root.
        if real in visited or (folder != root and real_root.is_relative_to(real)):
            continue
        visited.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            logger.warning("folder '%s' cannot be read (%s): its videos are left out", folder, error.strerror)
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            if path.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif path.is_file() or entry.is_symlink():
                files.append(path)
    return files

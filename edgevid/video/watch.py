"""From a source to what a network makes of it: a dict, which is the JSON of ``edgevid run``."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgevid.errors import VideoError

if TYPE_CHECKING:
    from edgevid.video.decode import VideoInfo
    from edgevid.video.frame import Frame
    from edgevid.video.predictions import Change
    from edgevid.video.recognize import Session
    from edgevid.video.source import Address, Pipe, Source
    from edgevid.video.stopwatch import Stopwatch


@dataclass(frozen=True)
class Options:
    """How a source is watched, as the options of ``edgevid run`` say.

    ``several``: this is one video of several. ``exact``: no frame is preprocessed by the kernel.
    ``on_change`` is called each time the best class changes.
    """

    top: int
    sampling: str | None
    fps: float | None
    duration_s: float | None
    timeout_s: float
    live: bool | None
    reconnect: bool
    several: bool
    exact: bool
    on_change: Callable[[Change], None] | None


def recognize(session: Session, source: Source, options: Options) -> dict[str, Any]:
    """Raises ``VideoError`` if the source cannot be read, or not by a bundle of this kind."""
    from edgevid.video.source import Address, Pipe

    if not isinstance(source, Address | Pipe):
        return (_stream_file if session.manifest.streaming else _clip)(session, source, options)
    if session.manifest.streaming:
        return _stream(session, source, options)
    from edgevid.video.pipeline import interruptible

    def whole() -> dict[str, Any]:
        _check_is_whole(source)
        return _clip(session, source, options)

    return interruptible(whole)


def watch_camera(session: Session, number: int, options: Options) -> dict[str, Any]:
    """Until Ctrl-C, or for ``options.duration_s``."""
    from edgevid.video.camera import open_camera
    from edgevid.video.recognize import decoder_threads
    from edgevid.video.stopwatch import Stopwatch

    watch = Stopwatch()
    with open_camera(number, decoder_threads(session), watch) as (info, frames):
        result = _follow(session, info, frames, None, options, watch, live=True)
    result["video"]["camera"] = number
    return result


def _check_is_whole(source: Address | Pipe) -> None:
    """Refuse a source that can be read only once, as clips are sampled from all frames of a video."""
    from edgevid.video.address import is_live
    from edgevid.video.decode import open_video
    from edgevid.video.source import Pipe

    instead = (
        "and this bundle takes a clip of a whole video: save the video to a file first, "
        "or use a streaming bundle ('edgevid export MODEL --stream')"
    )
    if isinstance(source, Pipe):
        raise VideoError(f"{source} can be read only once, {instead}")
    live = source.is_surely_live
    if not live:
        with open_video(source) as (container, _):
            live = is_live(container, source)
    if live:
        raise VideoError(f"'{source}' is the address of a live stream, {instead}")


def _clip(session: Session, source: Source, options: Options) -> dict[str, Any]:
    from edgevid.video.decode import measured, probe
    from edgevid.video.predictions import top_predictions
    from edgevid.video.recognize import recognize_clip
    from edgevid.video.stopwatch import Stopwatch

    watch = Stopwatch()
    with watch.measure("decoding"):
        info = probe(source)
    logits, clip = recognize_clip(session, source, options.sampling, watch, options.exact)
    return {
        "video": asdict(measured(info, clip.timeline)),
        "predictions": [asdict(p) for p in top_predictions(logits, session.labels, options.top)],
        **_times(watch),
        "preprocessing": clip.method,
        "frames": clip.indices.size,
        "drops": 0,
    }


def _stream_file(session: Session, path: Source, options: Options) -> dict[str, Any]:
    from edgevid.video.decode import probe, read_frames
    from edgevid.video.recognize import decoder_threads
    from edgevid.video.stopwatch import Stopwatch

    watch = Stopwatch()
    info = probe(path)
    frames = read_frames(path, decoder_threads(session), watch)
    return _follow(session, info, frames, _frames_to_show(info, options.fps), options, watch, live=False)


def _stream(session: Session, source: Address | Pipe, options: Options) -> dict[str, Any]:
    from edgevid.video.reader import open_reader
    from edgevid.video.recognize import decoder_threads
    from edgevid.video.stopwatch import Stopwatch

    watch, threads = Stopwatch(), decoder_threads(session)
    with open_reader(source, options.live, options.reconnect, options.duration_s, threads, watch) as reader:
        live = reader.way.latest
        assert reader.info is not None  # the first frame has come
        if live and options.several and options.duration_s is None:
            raise VideoError(f"'{source}' is live and has no end: name it alone, or give --duration")
        total = None if live else _frames_to_show(reader.info, options.fps)
        result = _follow(session, reader.info, reader, total, options, watch, live)
    result["video"] |= {"live": live, "reconnections": reader.reconnections}
    return result


def _frames_to_show(info: VideoInfo, fps: float | None) -> int | None:
    if fps is None:
        return info.frames
    return round(info.duration_s * fps) if info.duration_s else None


def _follow(
    session: Session,
    info: VideoInfo,
    source: Iterable[Frame],
    total: int | None,
    options: Options,
    watch: Stopwatch,
    live: bool,
) -> dict[str, Any]:
    from edgevid.video.decode import measured
    from edgevid.video.predictions import top_predictions
    from edgevid.video.reader import ARRIVAL, FrameReader
    from edgevid.video.recognize import Follower
    from edgevid.video.sampling import frames_as_they_come, frames_at_rate
    from edgevid.video.timestamps import Timeline

    frames = source
    end_s = options.duration_s
    if end_s is not None:
        frames = itertools.takewhile(lambda frame: frame.time_s < end_s, frames)
    timeline = Timeline()
    frames = timeline.counting(frames)
    if options.fps is not None:
        frames = (
            frames_as_they_come(frames, options.fps)
            if live
            else frames_at_rate(frames, options.fps, info.path)
        )
    follower = Follower(session, watch, options.exact)
    # What is live goes on until it is interrupted, which is then its proper end.
    ends_so = live and not options.several
    interrupt = contextlib.suppress(KeyboardInterrupt) if ends_so else contextlib.nullcontext()
    with interrupt, _progress(total) as progress:
        for change in follower.follow(frames, live):
            if progress is not None:
                progress.update()
            if change is not None and options.on_change:
                options.on_change(change)
    times = _times(watch)
    # A file has one prediction for all its frames; for a live source only the recent frames matter.
    logits = follower.recent_logits if live else follower.mean_logits
    result = {
        "video": asdict(info if live else measured(info, timeline)),
        "predictions": [asdict(p) for p in top_predictions(logits, session.labels, options.top)],
        "changes": [{"time_s": c.time_s, **asdict(c.prediction)} for c in follower.changes],
        **times,
        "time_ms_per_frame": {part: ms / follower.frames for part, ms in times["time_ms"].items()},
        "preprocessing": follower.method,
        "frames": follower.frames,
        "drops": source.drops if isinstance(source, FrameReader) else 0,
    }
    if live:
        since = source.clock if isinstance(source, FrameReader) else ARRIVAL
        result["delay_ms"] = _delays(follower.delays_ms, since)
    return result


def _progress(total: int | None) -> contextlib.AbstractContextManager[Any]:
    """A bar; None where stderr is not a terminal, which saves 4 MiB too."""
    if not sys.stderr.isatty():
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm(total=total, unit="frame", file=sys.stderr, leave=False)


def _times(watch: Stopwatch) -> dict[str, Any]:
    """``overlap``: how many stages were busy at a time, on average; 1 if they never wait and take turns."""
    time_ms = watch.times_ms()
    return {"time_ms": time_ms, "overlap": time_ms["total"] / time_ms["wall"]}


def _delays(delays_ms: Iterable[float], since: str) -> dict[str, Any]:
    """From the capture of a frame to its answer, or from its arrival if nobody says when it was captured."""
    import numpy as np

    p50, p95 = np.percentile([*delays_ms], [50, 95])
    return {"p50": float(p50), "p95": float(p95), "since": since}

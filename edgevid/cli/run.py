"""``edgevid run``: recognise what happens in a video file or before a camera."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from edgevid.errors import EdgevidError

if TYPE_CHECKING:
    from edgevid.video.decode import Frame, VideoInfo
    from edgevid.video.predictions import Change
    from edgevid.video.recognise import Session

logger = logging.getLogger("edgevid")

CAMERA_WINDOW_S = 2.0
"""What a clip of a camera spans unless --fps says otherwise: 64 frames of a video at 30 frames/s, rounded."""

MAX_FPS = 1000.0
COLOURS = 3


@click.command()
@click.argument("bundle")
@click.option("--video", metavar="FILE", help="Video file to recognise.")
@click.option("--camera", metavar="N", type=click.IntRange(min=0), help="Camera to watch, until Ctrl-C.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
@click.option(
    "--sampling",
    type=click.Choice(["segments", "dense"]),
    help="How a clip is taken from a file: the centre of equal segments, or 64 consecutive frames from the "
    "middle. Default: as the bundle says.",
)
@click.option(
    "--fps",
    type=float,
    help="Frames per second that a streaming bundle or a camera's clips see. Default: every frame of the "
    f"video; for a camera and a clip bundle, a clip spans {CAMERA_WINDOW_S:g} s.",
)
@click.option("--duration", metavar="SECONDS", type=float, help="Stop the camera after this time.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the network. Default: its backend's.")
@click.option(
    "--device",
    default="local",
    show_default=True,
    help="Where the network runs: 'local', or rpc://HOST:PORT/KEY, a board that a TVM tracker lends.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON alone on stdout.")
def command(
    bundle: str,
    video: str | None,
    camera: int | None,
    top: int,
    sampling: str | None,
    fps: float | None,
    duration: float | None,
    threads: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Recognise what happens in a video with BUNDLE, and say where the time goes.

    A clip bundle looks at a few frames of a file once. A streaming bundle, or any bundle with --camera, goes
    through the frames and prints a line each time the best class changes; a streaming bundle's logits are
    averaged over the last frames, as many as the network was trained on, and over the whole file for the
    answer at the end.
    """
    if (video is None) == (camera is None):
        raise click.UsageError("give exactly one of --video FILE and --camera N")
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise click.UsageError(f"--fps is {fps:g}: give frames per second above 0, at most {MAX_FPS:g}")
    if duration is not None and not duration > 0:
        raise click.UsageError(f"--duration is {duration:g}: give seconds above 0")
    if duration is not None and camera is None:
        raise click.UsageError("--duration is for --camera: a file ends by itself")

    import edgevid

    session = edgevid.open(bundle, threads=threads, device=device)
    _check_classifies_colour(session)
    follows = session.manifest.streaming or camera is not None
    if sampling is not None and follows:
        raise click.UsageError("--sampling is for a clip bundle with --video: frames are taken as they come")
    if fps is not None and not follows:
        raise click.UsageError("--fps is for a streaming bundle or a camera: use --sampling for a clip")

    if video is not None and not follows:
        result = _clip(session, video, sampling, top)
    elif video is not None:
        result = _stream_file(session, video, fps, top, quiet=as_json)
    else:
        result = _camera(session, camera, fps, duration, top, quiet=as_json)
    result = {"bundle": bundle, "model": session.manifest.model, **result}
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        _print(result)
    _warn_of_random_weights(session)


def _check_classifies_colour(session: Session) -> None:
    manifest = session.manifest
    outputs, taken = [output.name for output in manifest.outputs], manifest.inputs[0]
    if "logits" not in outputs:
        raise EdgevidError(
            f"{manifest.model} gives {' and '.join(outputs)}, not logits of classes, so there is nothing to "
            "show: use edgevid.open(...) in Python for its outputs"
        )
    channels = taken.shape[-3]
    if channels != COLOURS:
        raise EdgevidError(
            f"{manifest.model} takes frames of {channels} channels, not colour as a video has it: "
            "use edgevid.open(...) in Python with what it was trained on"
        )


def _clip(session: Session, path: str, sampling: str | None, top: int) -> dict[str, Any]:
    from edgevid.video.decode import probe
    from edgevid.video.predictions import top_predictions
    from edgevid.video.recognise import Stopwatch, recognise_clip

    watch = Stopwatch()
    with watch.measure("decoding"):
        info = probe(path)
    logits, clip = recognise_clip(session, path, sampling, watch)
    return {
        "video": asdict(replace(info, frames=clip.total_frames)),
        "predictions": [asdict(p) for p in top_predictions(logits, session.labels, top)],
        "time_ms": watch.with_total(),
        "frames": clip.indices.size,
    }


def _stream_file(session: Session, path: str, fps: float | None, top: int, quiet: bool) -> dict[str, Any]:
    from edgevid.video.decode import probe, read_frames
    from edgevid.video.recognise import decoder_threads
    from edgevid.video.sampling import frames_at_rate

    info = probe(path)
    frames = read_frames(path, threads=decoder_threads(session))
    total = info.frames
    if fps is not None:
        frames = frames_at_rate(frames, fps)
        total = round(info.duration_s * fps) if info.duration_s else None
    return _follow(session, info, frames, total, top, live=False, quiet=quiet)


def _camera(
    session: Session, number: int, fps: float | None, duration_s: float | None, top: int, quiet: bool
) -> dict[str, Any]:
    from edgevid.video.camera import open_camera
    from edgevid.video.sampling import frames_as_they_come

    if fps is None and not session.manifest.streaming:
        fps = session.manifest.frames / CAMERA_WINDOW_S
    with open_camera(number) as (info, frames):
        if duration_s is not None:
            frames = itertools.takewhile(lambda frame: frame.time_s < duration_s, frames)
        if fps is not None:
            frames = frames_as_they_come(frames, fps)
        result = _follow(session, info, frames, None, top, live=True, quiet=quiet)
    result["video"]["camera"] = number
    return result


def _follow(
    session: Session,
    info: VideoInfo,
    frames: Iterator[Frame],
    total: int | None,
    top: int,
    live: bool,
    quiet: bool,
) -> dict[str, Any]:
    from tqdm import tqdm

    from edgevid.video.predictions import top_predictions
    from edgevid.video.recognise import Follower, Stopwatch

    follower = Follower(session, Stopwatch())
    # A camera goes on until it is interrupted, which is then its proper end.
    interrupt = contextlib.suppress(KeyboardInterrupt) if live else contextlib.nullcontext()
    # disable=None: no bar where stderr is not a terminal.
    with interrupt, tqdm(total=total, unit="frame", file=sys.stderr, disable=None, leave=False) as progress:
        for change in follower.follow(frames):
            progress.update()
            if change is not None and not quiet:
                tqdm.write(_change_line(change), file=sys.stdout)
    # The whole of a file is one answer; before a camera only what is seen now matters.
    logits = follower.recent_logits if live else follower.mean_logits
    time_ms = follower.watch.with_total()
    return {
        "video": asdict(info),
        "predictions": [asdict(p) for p in top_predictions(logits, session.labels, top)],
        "changes": [{"time_s": c.time_s, **asdict(c.prediction)} for c in follower.changes],
        "time_ms": time_ms,
        "time_ms_per_frame": {part: ms / follower.frames for part, ms in time_ms.items()},
        "frames": follower.frames,
    }


def _warn_of_random_weights(session: Session) -> None:
    weights = session.manifest.weights
    if not weights.sha256 and "seed" in weights.source:
        logger.warning(
            "the weights of this bundle are %s, so its predictions mean nothing: "
            "export it again with --weights FILE",
            weights.source,
        )


def _change_line(change: Change) -> str:
    return f"{change.time_s:9.2f} s  {change.prediction.title}  {change.prediction.probability:.3f}"


def _print(result: dict[str, Any]) -> None:
    """The same facts as the JSON, for a person."""
    from tabulate import tabulate

    video = result["video"]
    facts = [f"{video['width']}x{video['height']}", video["codec"]]
    if video["frame_rate"]:
        facts.append(f"{video['frame_rate']:.2f} frames/s")
    if video["pixel_aspect"] != 1:
        facts.append(f"pixels {video['pixel_aspect']:.3f} times as wide as high made square")
    if video["mirrored"]:
        facts.append("mirrored")
    if video["rotation"]:
        facts.append(f"turned by {video['rotation']} degrees")
    if video["frames"]:
        facts.append(f"{video['frames']} frames")
    if result.get("changes"):
        click.echo()  # after the lines of the changes
    click.echo(f"{result['model']} saw {result['frames']} frames of {video['path']} ({', '.join(facts)})\n")

    rows = [(p["index"], p["label"] or "", p["probability"], p["logit"]) for p in result["predictions"]]
    headers = ("class", "label", "probability", "logit")
    click.echo(tabulate(rows, headers=headers, floatfmt=("", "", ".4f", ".3f")) + "\n")

    columns = [result["time_ms"], result.get("time_ms_per_frame", {})]
    times = [(part, *(column[part] for column in columns if column)) for part in result["time_ms"]]
    headers = ("time", "ms", "ms per frame") if columns[1] else ("time", "ms")
    click.echo(tabulate(times, headers=headers, floatfmt=".2f") + "\n")
    if "camera" in video:
        click.echo("Decoding includes waiting for the camera.")
    elif not columns[1]:
        click.echo("Inference is a first run, warm-up included; 'edgevid bench' measures the steady state.")

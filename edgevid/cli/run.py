"""``edgevid run``: classify videos, network streams or a camera."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.run_report import one_line, print_change, print_result
from edgevid.errors import EdgevidError, VideoError
from edgevid.specs import LOCAL

if TYPE_CHECKING:
    from edgevid.video.recognize import Session
    from edgevid.video.source import Source
    from edgevid.video.watch import Options

logger = logging.getLogger("edgevid")

CAMERA_WINDOW_S = 2.0
"""Default time span of a camera clip without --fps: 64 frames at 30 frames/s, rounded."""

MAX_FPS = 1000.0
MAX_SECONDS = 1e6
COLOR_CHANNELS = 3


@click.command()
@click.argument("bundle")
@click.argument("more_videos", metavar="", nargs=-1)
@click.option(
    "--video",
    "videos",
    metavar="VIDEO...",
    multiple=True,
    help="Videos to classify: files, folders (searched recursively), patterns such as 'clips/**/*.mp4', "
    "addresses (rtsp, rtmp, http, https, udp, tcp), or - for standard input. Several videos print one line "
    "each.",
)
@click.option("--camera", metavar="N", type=click.IntRange(min=0), help="Camera to watch, until Ctrl-C.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
@click.option(
    "--sampling",
    type=click.Choice(["segments", "dense"]),
    help="How to sample a clip from a file: the center frame of equal segments, or 64 consecutive frames "
    "from the middle. Default: the bundle's setting.",
)
@click.option(
    "--fps",
    type=float,
    help="Frame rate of the network's input, for a streaming bundle or a camera. Default: every frame of the "
    f"video; with a camera and a clip bundle, a clip spans {CAMERA_WINDOW_S:g} s.",
)
@click.option(
    "--duration", metavar="SECONDS", type=float, help="Stop the camera, address or '-' after this time."
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    default=10.0,
    show_default=True,
    help="How long to wait for data from an address or '-'.",
)
@click.option(
    "--live/--every-frame",
    default=None,
    help="For an address or '-': process the latest frame and drop the backlog, or process every frame. "
    "Default: --live for a live stream, --every-frame for a file and '-'.",
)
@click.option(
    "--reconnect",
    is_flag=True,
    help="Reconnect when a live address ends or fails, until Ctrl-C or --duration; the network keeps its "
    "state.",
)
@click.option(
    "--exact-preprocessing",
    is_flag=True,
    help="Convert and resize frames with FFmpeg and Pillow, as in training, and not with the kernel, whose "
    "mean difference is less than 1/255.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Inference threads. Default: the backend's choice."
)
@click.option(
    "--device",
    default=LOCAL,
    show_default=True,
    help="Where the network runs: 'local', or a board behind a TVM tracker, rpc://HOST:PORT/KEY.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print only JSON on stdout, one line per video if there are several.",
)
def command(
    bundle: str,
    more_videos: tuple[str, ...],
    videos: tuple[str, ...],
    camera: int | None,
    top: int,
    sampling: str | None,
    fps: float | None,
    duration: float | None,
    timeout: float,
    live: bool | None,
    reconnect: bool,
    exact_preprocessing: bool,
    threads: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Classify a video with BUNDLE and report the time of each stage.

    A clip bundle runs once, on frames sampled from a file. A streaming bundle, or any bundle with --camera,
    runs on frame after frame and prints a line each time the top class changes. While it runs, a streaming
    bundle averages its logits over the clip length that the network was trained on; its final prediction
    averages the whole file. Addresses, standard input and named pipes need a streaming bundle; a clip bundle
    also reads complete files over HTTP.

    Decoding and preprocessing overlap with the network: the time of a stage is its own, "total" their sum,
    and "wall" what you wait. A network slower than a camera or a live address sees the newest frame; the
    report counts the frames dropped and gives the delay from capture to prediction.

    With several videos, unreadable ones are skipped and counted; the exit status is 2 if all are unreadable.
    """
    names = (*videos, *more_videos)
    if bool(names) == (camera is not None):
        raise click.UsageError("give exactly one of --video FILE and --camera N")
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise click.UsageError(f"--fps is {fps:g}: give frames per second above 0, at most {MAX_FPS:g}")
    for option, seconds in (("--duration", duration), ("--timeout", timeout)):
        if seconds is not None and not 0 < seconds <= MAX_SECONDS:
            raise click.UsageError(f"{option} is {seconds:g}: give seconds above 0, at most {MAX_SECONDS:g}")
    _check_live_options(names, camera, duration, live, reconnect)

    import edgevid
    from edgevid.video.files import stands_for_several
    from edgevid.video.watch import Options

    session = edgevid.open(bundle, threads=threads, device=device, shares_cores=True)
    _check_classifies_color(session)
    follows = session.manifest.streaming or camera is not None
    if sampling is not None and follows:
        raise click.UsageError(
            "--sampling needs a clip bundle and --video: a stream uses frames as they arrive"
        )
    if fps is not None and not follows:
        raise click.UsageError("--fps needs a streaming bundle or a camera: use --sampling for a clip")
    if not follows and (duration is not None or live is not None):
        raise click.UsageError("--duration, --live and --every-frame need a streaming bundle or a camera")
    if camera is not None and fps is None and not session.manifest.streaming:
        fps = session.manifest.frames / CAMERA_WINDOW_S

    several = len(names) > 1 or (camera is None and stands_for_several(names[0]))
    on_change = None if as_json or several else print_change
    options = Options(
        top, sampling, fps, duration, timeout, live, reconnect, several, exact_preprocessing, on_change
    )
    about = {"bundle": bundle, "model": session.manifest.model}
    if several:
        _run_several(session, names, about, options, as_json)
    else:
        _run_one(session, names[0] if names else None, camera, about, options, as_json)
    _warn_of_random_weights(session)


def _check_live_options(
    names: tuple[str, ...], camera: int | None, duration: float | None, live: bool | None, reconnect: bool
) -> None:
    from edgevid.video.source import is_address, is_pipe

    addresses = [name for name in names if is_address(name)]
    pipes = [name for name in names if is_pipe(name)]
    if duration is not None and camera is None and not addresses and not pipes:
        raise click.UsageError("--duration needs --camera, an address or '-': a file ends by itself")
    if live is not None and not addresses and not pipes:
        option = "--live" if live else "--every-frame"
        raise click.UsageError(f"{option} needs an address or '-': every frame of a file is processed anyway")
    if reconnect and not addresses:
        raise click.UsageError("--reconnect needs an address: a file or a camera has no connection")


def _check_classifies_color(session: Session) -> None:
    manifest = session.manifest
    outputs, source = [output.name for output in manifest.outputs], manifest.inputs[0]
    if "logits" not in outputs:
        raise EdgevidError(
            f"{manifest.model} is not a classifier (its outputs are {' and '.join(outputs)}): "
            "use edgevid.open(...) in Python"
        )
    channels = source.shape[-3]
    if channels != COLOR_CHANNELS:
        raise EdgevidError(
            f"{manifest.model} takes frames of {channels} channels, not the RGB frames of a video: "
            "use edgevid.open(...) in Python with the input that it was trained on"
        )


def _run_one(
    session: Session,
    name: str | None,
    camera: int | None,
    about: dict[str, Any],
    options: Options,
    as_json: bool,
) -> None:
    from edgevid.video.source import parse_source
    from edgevid.video.watch import recognize, watch_camera

    if camera is not None:
        result = watch_camera(session, camera, options)
    else:
        source = parse_source(name or "", options.timeout_s, options.reconnect)
        result = recognize(session, source, options)
    result = {**about, **result}
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        print_result(result)


def _run_several(
    session: Session, names: tuple[str, ...], about: dict[str, Any], options: Options, as_json: bool
) -> None:
    """Print one line per video; skip unreadable ones with a line on stderr."""
    from edgevid.video.watch import recognize

    videos = skipped = 0
    for source in _sources(names, options):
        videos += 1
        try:
            if isinstance(source, VideoError):
                raise source
            result = {**about, **recognize(session, source, options)}
        except (VideoError, OSError) as error:
            skipped += 1
            why = error if isinstance(error, VideoError) else f"'{source}': {error.strerror or error}"
            click.echo(f"edgevid: skipped: {why}", err=True)
            continue
        click.echo(json.dumps(result) if as_json else one_line(result))
    counts = f"{videos} video{'s' * (videos != 1)}, {skipped} skipped"
    if skipped == videos:
        raise VideoError(f"{counts}: no video could be read, see the messages above")
    click.echo(counts, err=True)


def _sources(names: tuple[str, ...], options: Options) -> Iterator[Source | VideoError]:
    """Every video that ``names`` expand to; for a name without videos, the error."""
    from edgevid.video.files import expand
    from edgevid.video.source import parse_source

    for name in names:
        try:
            videos = expand(name)
            yield from videos or [parse_source(name, options.timeout_s, options.reconnect)]
        except VideoError as error:
            yield error


def _warn_of_random_weights(session: Session) -> None:
    weights = session.manifest.weights
    if not weights.sha256 and "seed" in weights.source:
        logger.warning(
            "the weights of this bundle are %s, so its predictions mean nothing: "
            "export it again with --weights FILE",
            weights.source,
        )

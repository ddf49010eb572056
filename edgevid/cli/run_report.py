"""What ``edgevid run`` prints for a person."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgevid.video.predictions import Change


def print_change(change: Change) -> None:
    line = f"{change.time_s:9.2f} s  {change.prediction.title}  {change.prediction.probability:.3f}"
    if not sys.stderr.isatty():
        click.echo(line)
        return
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)  # above the bar, which is on stderr


def one_line(result: dict[str, Any]) -> str:
    """A video among several, such as ``a.mp4: surfing 0.912, swimming 0.043``."""
    classes = [
        f"{'class ' + str(p['index']) if p['label'] is None else p['label']} {p['probability']:.3f}"
        for p in result["predictions"]
    ]
    return f"{result['video']['path']}: {', '.join(classes)}"


def print_result(result: dict[str, Any]) -> None:
    """Print the contents of the JSON as text."""
    from tabulate import tabulate

    video = result["video"]
    facts = [f"{video['width']}x{video['height']}", video["codec"]]
    if video["frame_rate"]:
        facts.append(f"{video['frame_rate']:.2f} frames/s")
    if video["pixel_aspect"] != 1:
        facts.append(f"pixel aspect ratio {video['pixel_aspect']:.3f}, scaled to square")
    if video["mirrored"]:
        facts.append("mirrored")
    if video["rotation"]:
        facts.append(f"rotated by {video['rotation']} degrees")
    if video["frames"]:
        facts.append(f"{video['frames']} frames")
    if result["drops"]:
        facts.append(f"{result['drops']} dropped")
    if result.get("changes"):
        click.echo()  # after the lines of the changes
    click.echo(
        f"{result['model']} processed {result['frames']} frames of {video['path']} ({', '.join(facts)})\n"
    )

    rows = [(p["index"], p["label"] or "", p["probability"], p["logit"]) for p in result["predictions"]]
    headers = ("class", "label", "probability", "logit")
    click.echo(tabulate(rows, headers=headers, floatfmt=("", "", ".4f", ".3f")) + "\n")

    columns = [result["time_ms"], result.get("time_ms_per_frame", {})]
    names = {"preprocessing": f"preprocessing ({result['preprocessing']})"}
    times = [
        (names.get(part, part), *(column[part] for column in columns if column)) for part in result["time_ms"]
    ]
    stages = ("time", "ms", "ms per frame") if columns[1] else ("time", "ms")
    click.echo(tabulate(times, headers=stages, floatfmt=".2f") + "\n")
    if "camera" in video or "live" in video:
        source = "the camera" if "camera" in video else video["path"]
        click.echo(f"Wall time includes waiting for {source}.")
    if "delay_ms" in result:
        delay = result["delay_ms"]
        click.echo(
            f"From the {delay['since']} of a frame to its prediction: {delay['p50']:.1f} ms (median), "
            f"{delay['p95']:.1f} ms (95th percentile)."
        )
    elif not columns[1]:
        click.echo("Inference is one run, warm-up included; use 'edgevid bench' to measure the steady state.")

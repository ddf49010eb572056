"""edgevid export: from a network to a bundle."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time

import click


@click.command("export")
@click.argument("model")
@click.option(
    "--target", default="cpu", show_default=True, help="Device to export for (edgevid list targets)."
)
@click.option("--backend", help="Backend, if not the target's first (edgevid list backends).")
@click.option(
    "--weights", metavar="FILE", help="Checkpoint (or folder of shards) to load; random weights without it."
)
@click.option("--ema", is_flag=True, help="Take the averaged weights (EMA) of a checkpoint that has both.")
@click.option(
    "--mean",
    metavar="A,B,C",
    help="Mean that the weights were trained with, of pixels from 0 to 1, or from 0 to 255 if a number of "
    "--mean or --std is above 1. [default: that of who trained the checkpoint, by its names]",
)
@click.option("--std", metavar="A,B,C", help="Standard deviation, as --mean.")
@click.option("--color", metavar="RGB|BGR", help="Order of the colors, of --mean and --std too.")
@click.option("--classes", type=int, help="Number of classes; taken from the weights if not given.")
@click.option("--frames", type=int, help="Frames of a clip, T.")
@click.option("--size", type=int, help="Height and width of the network's input in pixels.")
@click.option(
    "--stream", is_flag=True, help="Make a network that takes one frame at a time and keeps its state."
)
@click.option(
    "--dynamic-batch",
    is_flag=True,
    help="Add model.dynamic.onnx, in standard operators, that takes any number of clips at once. "
    "It is compared with PyTorch at other numbers; which networks take which: edgevid list models --verbose.",
)
@click.option("--dynamic-frames", is_flag=True, help="The same file takes clips of any length.")
@click.option("--dynamic-size", is_flag=True, help="The same file takes any height and width.")
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16", "int8"]), help="Precision, if not the target's first."
)
@click.option(
    "--calibration", metavar="DIR", help="Folder of videos on which --precision int8 measures its ranges."
)
@click.option("--labels", metavar="NAME|FILE", help="Label set, or a text file with one label a line.")
@click.option("-o", "--output", metavar="DIR", help="The bundle's folder. [default: MODEL.TARGET.BACKEND]")
@click.option("--force", is_flag=True, help="Replace a bundle that exists, as a whole.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(model: str, as_json: bool, **options) -> None:
    """Export MODEL, proven equal to PyTorch, to a bundle for a device.

    MODEL is a name of 'edgevid list models', or package.module:callable, a function without arguments that
    returns a torch.nn.Module taking a clip (N, T, 3, H, W).
    """
    start = time.perf_counter()
    logging.basicConfig(format="edgevid: %(message)s", level=logging.WARNING)
    logging.getLogger("edgevid").setLevel(logging.INFO)

    def progress(step: str) -> None:
        click.echo(f"[{time.perf_counter() - start:5.1f} s] {step}", err=True)

    from edgevid.kernels.build import library

    # Compiling the kernels, the first time, takes no longer than all the rest beside which it is done.
    compiling = threading.Thread(target=library, daemon=True)
    if _is_for_any_machine(options["target"]):
        compiling.start()
    progress("starting PyTorch")
    import edgevid

    bundle = edgevid.export(model, progress=progress, **options)
    kernels = bundle.manifest.kernels
    if kernels and compiling.ident is not None:
        compiling.join()
        progress("opening it with the kernels of this machine")
        kernels = edgevid.open(bundle.path).kernels or kernels  # int8 needs none of ours
    manifest, seconds = bundle.manifest, time.perf_counter() - start
    if as_json:
        click.echo(
            json.dumps(
                {
                    "bundle": str(bundle.path),
                    "model": manifest.model,
                    "target": manifest.target,
                    "backend": manifest.backend,
                    "precision": manifest.precision,
                    "preprocessing": dataclasses.asdict(manifest.preprocessing),
                    "parity": manifest.parity.as_dict(),
                    "parameters": manifest.weights.parameters,
                    "macs": manifest.macs,
                    "kernels": list(kernels),
                    "not_run": list(manifest.not_run),
                    "warnings": list(manifest.warnings),
                    "float_layers": dict(manifest.calibration.get("float_layers", {})),
                    "seconds": round(seconds, 2),
                }
            )
        )
        return
    click.echo(f"wrote {bundle.path} in {seconds:.1f} s")
    click.echo(f"  {_verdict(manifest)}")
    click.echo(f"  input: {manifest.preprocessing.describe()}")
    click.echo(f"  temporal ops: {', '.join(kernels) or 'none'}")
    for layer, reason in manifest.calibration.get("float_layers", {}).items():
        click.echo(f"  not in int8: {layer} ({reason})")
    for sentence in manifest.not_run:
        click.echo(f"  not tried here: {sentence}")
    click.echo(f"  next: {_next_step(manifest, bundle.path)}")


def _is_for_any_machine(target: str) -> bool:
    """Whether what runs a bundle for ``target`` here is what runs it there."""
    from edgevid.targets import TARGETS

    return target in TARGETS and TARGETS[target].architecture == "any"


def _verdict(manifest) -> str:
    parity = manifest.parity
    distance = f"max|a-b| / max|b| = {parity.max_rel:.1e} (tolerance {parity.tolerance:g}"
    if manifest.precision != "int8":
        return f"equal to PyTorch: {distance}, {manifest.precision})"
    agreement = "" if parity.top1_agreement is None else f", same best class on {parity.top1_agreement:.0%}"
    return f"int8 against PyTorch on {parity.clips} held-out clips: {distance}){agreement}"


def _next_step(manifest, path) -> str:
    if manifest.backend == "tensorrt":
        return f"copy {path} to the device and read its README.md (./build.sh, then ./run.sh)"
    return f"edgevid run {path} --video FILE, edgevid bench {path}"

"""edgevid export: from a network to a bundle."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable

import click

from edgevid.specs.export_options import ExportOptions


def _options(command: Callable) -> Callable:
    """Add an option for each field of ``ExportOptions``, in order."""
    for option in reversed(dataclasses.fields(ExportOptions)):
        settings = dict(option.metadata)
        if choices := settings.pop("choices", None):
            settings["type"] = click.Choice(choices)
        if option.default is False:
            settings["is_flag"] = True
        command = click.option(f"--{option.name.replace('_', '-')}", **settings)(command)
    return command


@click.command("export")
@click.argument("model")
@click.option(
    "--target", default="cpu", show_default=True, help="Device to export for (edgevid list targets)."
)
@_options
@click.option("-o", "--output", metavar="DIR", help="The bundle's folder. [default: MODEL.TARGET.BACKEND]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(model: str, as_json: bool, **options) -> None:
    """Export MODEL to a bundle for a device, after comparing its outputs with PyTorch's.

    MODEL is a name of 'edgevid list models', or package.module:callable, a function without arguments that
    returns a torch.nn.Module taking a clip (N, T, 3, H, W).
    """
    start = time.perf_counter()
    logging.basicConfig(format="edgevid: %(message)s", level=logging.WARNING)
    logging.getLogger("edgevid").setLevel(logging.INFO)

    def progress(step: str) -> None:
        click.echo(f"[{time.perf_counter() - start:5.1f} s] {step}", err=True)

    # The first compilation of the kernels takes no longer than the export, so it runs in parallel.
    compiling = threading.Thread(target=_compile_kernels, daemon=True)
    if _runs_on_any_machine(options["target"]):
        compiling.start()
    progress("starting PyTorch")
    import edgevid

    bundle = edgevid.export(model, progress=progress, **options)
    kernels = bundle.manifest.kernels
    if compiling.ident is not None:
        if compiling.is_alive():
            progress("waiting for this machine's kernels")
        compiling.join()  # abandoned, they would be compiled again by the next command
        if kernels:
            progress("opening it with this machine's kernels")
            kernels = edgevid.open(bundle.path).kernels or kernels  # int8 has no kernels of edgevid
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
        click.echo(f"  not run here: {sentence}")
    click.echo(f"  next: {_next_step(manifest, bundle.path)}")


def _compile_kernels() -> None:
    from edgevid.backends import BACKENDS

    for backend in BACKENDS.values():
        if backend.has_kernels:
            backend.compile_kernels()


def _runs_on_any_machine(target: str) -> bool:
    """Whether bundles for ``target`` run on this machine as on any other."""
    from edgevid.targets import TARGETS

    entry = TARGETS.get(target)
    return entry is not None and entry.architecture == "any"


def _verdict(manifest) -> str:
    parity = manifest.parity
    distance = f"max|a-b| / max|b| = {parity.max_rel:.1e} (tolerance {parity.tolerance:g}"
    if manifest.precision != "int8":
        return f"equal to PyTorch: {distance}, {manifest.precision})"
    agreement = "" if parity.top1_agreement is None else f", same top-1 class on {parity.top1_agreement:.0%}"
    return f"int8 compared with PyTorch on {parity.clips} held-out clips: {distance}){agreement}"


def _next_step(manifest, path) -> str:
    from edgevid.backends import BACKENDS

    return BACKENDS[manifest.backend].next_step.format(path=path)

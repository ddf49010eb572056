"""``edgevid explain``: where in each frame of a video the evidence for a class is."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.errors import EdgevidError, VideoError, WeightsError

if TYPE_CHECKING:
    from torch import nn

    from edgevid.bundle.bundle import Bundle
    from edgevid.session import Session
    from edgevid.specs import Manifest
    from edgevid.video.clips import Clip
    from edgevid.video.source import Source

logger = logging.getLogger("edgevid")

RESULT = "explain.json"


@click.command("explain")
@click.argument("bundle")
@click.option("--video", required=True, metavar="FILE", help="Video to explain.")
@click.option("-o", "--output", metavar="DIR", help="Folder of the files. [default: VIDEO.explain]")
@click.option(
    "--class",
    "class_name",
    default="top1",
    show_default=True,
    metavar="NAME|NUMBER|top1",
    help="Class whose evidence is shown. top1: the best one; of a stream, the one that leads at that moment.",
)
@click.option(
    "--weights",
    metavar="FILE|digits",
    help="The bundle's checkpoint, for Grad-CAM with PyTorch of any network of 'edgevid list models'.",
)
@click.option("--layer", metavar="NAME", help="Layer for Grad-CAM. [default: the last with a feature map]")
@click.option(
    "--feature-maps",
    "layers",
    multiple=True,
    metavar="LAYER",
    help="Also write the output of a layer; needs --weights, may be repeated.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Inference threads. [default: one per core]")
@click.option("--force", is_flag=True, help="Replace the files of an earlier explanation in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print explain.json on stdout.")
def command(
    bundle: str,
    video: str,
    output: str | None,
    class_name: str,
    weights: str | None,
    layer: str | None,
    layers: tuple[str, ...],
    threads: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show where in each frame of a video BUNDLE's network finds evidence for a class.

    The folder gets a video and pictures of the frames as the network saw them, side by side with the class
    activation map over them, the maps as arrays, and for a streaming bundle the confidence over time. The
    bundle must be exported with --explain; --weights works with any clip bundle.
    """
    if weights is None and (layer or layers):
        raise click.UsageError(
            "--layer and --feature-maps need PyTorch and the checkpoint: add --weights FILE"
        )
    from edgevid.bundle.bundle import Bundle, check_replaceable, writing
    from edgevid.bundle.model_files import check_models
    from edgevid.cli.progress import shown as progress
    from edgevid.video.decode import probe
    from edgevid.video.explain.explanation import find_class
    from edgevid.video.explain.run import write_stream

    opened, source = Bundle.open(bundle), _source(video)
    opened.check_files()
    check_models(opened)
    _check_classifies_color(opened.manifest)
    folder = Path(output or f"{Path(video).stem}.explain")
    check_replaceable(folder, force, RESULT, "no explanation")
    session = _session(opened, threads, weights)
    shown = find_class(class_name, session.labels, opened.manifest.classes)
    info = probe(source)
    network = None if weights is None else _network(opened.manifest, weights)
    with writing(folder) as work:
        result = {"bundle": bundle, "model": opened.manifest.model, "video": asdict(info)}
        if network is not None:
            result |= _explain_with_torch(network, session, source, shown, layer, layers, work)
        elif opened.manifest.streaming:
            result |= write_stream(session, source, info, shown, work, progress)
        else:
            result |= _explain_clip(session, source, shown, work)
        result["files"] = sorted(
            path.relative_to(work).as_posix()
            for path in [*work.rglob("*"), work / RESULT]
            if not path.is_dir()
        )
        (work / RESULT).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        _print(result, folder)
    _warn_of_random_weights(opened.manifest, weights)


def _source(video: str) -> Source:
    from edgevid.video.source import Address, Pipe, parse_source

    source = parse_source(video)
    if isinstance(source, Address | Pipe):
        raise VideoError(
            f"'{source}' can be read only once, and explain reads twice: save it to a file first"
        )
    return source


def _check_classifies_color(manifest: Manifest) -> None:
    if manifest.classes and manifest.inputs[0].shape[-3] == 3:
        return
    raise EdgevidError(f"{manifest.model} is no classifier of RGB videos, so there is no class to explain")


def _session(bundle: Bundle, threads: int | None, weights: str | None) -> Session:
    """Of the file with the maps; with ``weights`` only the bundle's labels are used."""
    import edgevid
    from edgevid.specs.explanation import EXPLAIN_MODEL

    if weights is not None:
        if bundle.manifest.streaming:
            raise EdgevidError("Grad-CAM explains a clip: export without --stream, or leave out --weights")
        return edgevid.Session(bundle, threads, with_kernels=False)
    artefacts = [each for each in bundle.manifest.artefacts if each.file == EXPLAIN_MODEL]
    if not artefacts:
        raise EdgevidError(
            f"bundle '{bundle.path}' has no class activation maps: export it again with --explain, or use "
            "Grad-CAM with --weights FILE"
        )
    return edgevid.Session(bundle, threads, artefact=artefacts[0], with_kernels=False)


def _network(manifest: Manifest, weights: str) -> nn.Module:
    """The bundle's network with the checkpoint's weights."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise EdgevidError("--weights needs PyTorch: pip install 'edgevid[export]'") from None
    import edgevid
    from edgevid.host.digest import sha256_of
    from edgevid.zoo import MODELS
    from edgevid.zoo.shipped import find_weights
    from edgevid.zoo.training.checkpoint import load_network

    if manifest.model not in MODELS:
        raise EdgevidError(
            f"{manifest.model} is not in 'edgevid list models', so --weights cannot build it: export it with "
            "--explain, or call edgevid.zoo.grad_cam in Python"
        )
    path = find_weights(weights, manifest.model)
    try:
        network, _ = load_network(path)  # it knows its width
    except WeightsError:
        network = edgevid.create_model(manifest.model, manifest.classes, manifest.frames)
        edgevid.load_weights(network, path)
    if path.is_file() and sha256_of(path) != manifest.weights.sha256:
        logger.warning("'%s' is not the checkpoint that the bundle was exported from", weights)
    return network.eval()


def _explain_clip(session: Session, source: Source, shown: int | None, folder: Path) -> dict[str, Any]:
    from edgevid.video.explain.explanation import explain_clip
    from edgevid.video.explain.run import write_clip

    clip = _clip(session, source)
    return write_clip(session, clip, explain_clip(session, clip, shown), "CAM", folder)


def _explain_with_torch(
    network: nn.Module,
    session: Session,
    source: Source,
    shown: int | None,
    layer: str | None,
    layers: tuple[str, ...],
    folder: Path,
) -> dict[str, Any]:
    from edgevid.video.explain.explanation import of_clip
    from edgevid.video.explain.run import write_clip
    from edgevid.video.explain.write import write_features
    from edgevid.zoo.grad_cam import feature_maps, grad_cam

    clip = _clip(session, source)
    inputs = clip.data[0] if len(session.manifest.inputs[0].shape) == 4 else clip.data
    found = grad_cam(network, inputs, shown, layer)
    if layers:
        write_features(folder, feature_maps(network, inputs, layers))
    explanation = of_clip(clip, found.maps, found.logits, found.class_index)
    return {**write_clip(session, clip, explanation, "Grad-CAM", folder), "layer": found.layer}


def _clip(session: Session, source: Source) -> Clip:
    from edgevid.video.clips import load_clip

    return load_clip(source, session.manifest.preprocessing, session.manifest.frames, exact=False)


def _print(result: dict[str, Any], folder: Path) -> None:
    from edgevid.video.predictions import Prediction, title

    best = Prediction(**result["predictions"][0])
    shown, layer = result["class"], result.get("layer")
    name = title(shown["index"], shown["label"]) if shown else "the leading class"
    where = f" at layer {layer}" if layer else ""
    click.echo(f"best class: {best.title} {best.probability:.1%}")
    click.echo(f"{result['method']} of {name}{where}, {len(result['frames'])} frames:")
    for file in result["files"]:
        if not file.startswith("frames/"):
            click.echo(f"  {folder / file}")


def _warn_of_random_weights(manifest: Manifest, weights: str | None) -> None:
    if weights is None and not manifest.weights.sha256 and "seed" in manifest.weights.source:
        logger.warning(
            "the weights of this bundle are %s, so the maps mean nothing: "
            "export it again with --weights FILE",
            manifest.weights.source,
        )

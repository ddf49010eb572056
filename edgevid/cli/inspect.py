"""edgevid inspect: what a bundle says of itself, and whether it is true."""

from __future__ import annotations

import json

import click


@click.command("inspect")
@click.argument("bundle")
@click.option(
    "--verify", is_flag=True, help="Check every hash, run every model file, compare with PyTorch's answer."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(bundle: str, verify: bool, as_json: bool) -> int:
    """Show what BUNDLE is, and with --verify whether it is intact and equal to PyTorch on this machine.

    Needs no PyTorch. Exit status 1: the bundle is intact but does not compute here what PyTorch did; 2: it is
    damaged.
    """
    from edgevid.bundle import Bundle

    opened = Bundle.open(bundle)
    manifest = opened.manifest
    checks = _verify(opened) if verify else []
    ok = all(check["parity"]["ok"] for check in checks)
    if as_json:
        content = json.loads((opened.path / "manifest.json").read_text("utf-8"))
        click.echo(
            json.dumps(
                {"bundle": str(opened.path), "manifest": content, "verified": checks if verify else None}
            )
        )
        return 0 if ok else 1
    _show(manifest)
    if verify:
        click.echo(f"\nall {len(manifest.files)} files are as they were written")
    for check in checks:
        parity = check["parity"]
        click.echo(
            f"{check['file']}: {'equal' if parity['ok'] else 'NOT EQUAL'} to PyTorch, max|a-b| / max|b| = "
            f"{parity['max_rel']:.1e} (tolerance {parity['tolerance']:g})"
        )
    return 0 if ok else 1


def _verify(bundle) -> list[dict]:
    from edgevid.parity import check_artefact

    bundle.check_files()
    checks = []
    for artefact in bundle.manifest.artefacts:
        click.echo(f"running {artefact.file}", err=True)
        parity = check_artefact(bundle, artefact)
        checks.append({"file": artefact.file, "precision": artefact.precision, "parity": parity.as_dict()})
    return checks


def _show(manifest) -> None:
    from tabulate import tabulate

    def tensor(spec) -> str:
        return f"{spec.name} {'x'.join(map(str, spec.shape))} {spec.dtype}" + (
            f" ({spec.layout})" if spec.layout else ""
        )

    weights, prep = manifest.weights, manifest.preprocessing
    rows = [
        ("model", f"{manifest.model} ({manifest.source})"),
        ("target asked for", manifest.target),
        ("backend", f"{manifest.backend}, {manifest.precision}"),
        ("inputs", "; ".join(map(tensor, manifest.inputs))),
        ("outputs", "; ".join(map(tensor, manifest.outputs))),
        ("states", f"{len(manifest.states)}, zero at first" if manifest.states else "none"),
        ("labels", manifest.labels or "none"),
        (
            "preprocessing",
            f"short side {prep.short_side}, crop {prep.crop}, {prep.color}, mean {prep.mean}, std {prep.std}",
        ),
        (
            "weights",
            f"{weights.source}; {weights.parameters:,} parameters, {weights.size_bytes / 2**20:.1f} MiB",
        ),
        ("multiply-adds", f"{manifest.macs / 1e9:.3f} G for one {'frame' if manifest.streaming else 'clip'}"),
        ("temporal ops", ", ".join(manifest.kernels) or "none"),
        (
            "equal to PyTorch",
            f"{manifest.parity.max_rel:.1e} relative, tolerance {manifest.parity.tolerance:g}",
        ),
        ("made", f"{manifest.created} by edgevid {manifest.tools.get('edgevid', '?')}"),
    ]
    click.echo(tabulate(rows, tablefmt="plain"))
    if manifest.states:
        states = [(s.input, s.output, "x".join(map(str, s.shape)), s.dtype, s.op) for s in manifest.states]
        click.echo("\n" + tabulate(states, headers=["state", "comes back as", "shape", "type", "belongs to"]))
    files = [
        (a.file, a.precision, a.purpose, f"{a.parity.max_rel:.1e}" if a.parity else "-")
        for a in manifest.artefacts
    ]
    click.echo("\n" + tabulate(files, headers=["model file", "precision", "for", "distance"]))
    passes = [(p.name, p.matched, "; ".join(p.refused) or "-") for p in manifest.passes]
    click.echo("\n" + tabulate(passes, headers=["pass", "matched", "left alone because"]))
    for sentence in manifest.not_run:
        click.echo(f"\nnot tried where this was made: {sentence}")

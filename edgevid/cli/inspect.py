"""``edgevid inspect``: describe a bundle and verify it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from edgevid.specs import PLAN

MAX_PLAN_BYTES = 64 << 20
MAX_NAMES = 6


@click.command("inspect")
@click.argument("bundle")
@click.option(
    "--verify",
    is_flag=True,
    help="Check every hash, run every model file and compare it with PyTorch's output.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(bundle: str, verify: bool, as_json: bool) -> int:
    """Describe BUNDLE; with --verify, check that it is intact and matches PyTorch on this machine.

    Does not need PyTorch. Exit status 1: the bundle is intact, but its outputs here differ from PyTorch's;
    2: the bundle is damaged.
    """
    from edgevid.bundle.bundle import Bundle
    from edgevid.bundle.model_files import check_models
    from edgevid.bundle.native_code import native_code

    contents = Bundle.open(bundle)
    contents.check_files()
    check_models(contents)
    manifest, code, plan = contents.manifest, native_code(contents), _plan(contents)
    if verify:
        _show_code(code, err=True)
    checks, not_checked = _verify(contents) if verify else ([], {})
    ok = all(check["parity"].ok for check in checks)
    if as_json:
        document = {
            "bundle": str(contents.path),
            "manifest": asdict(manifest),
            "native_code": code,
            "receipt": list(map(vars, _receipt(contents))),
            "runtime": _runtime(manifest),
            "plan": plan,
        }
        results = [{**check, "parity": check["parity"].as_dict()} for check in checks]
        verified = {"verified": results, "not_verified": not_checked} if verify else {"verified": None}
        click.echo(json.dumps({**document, **verified}))
        return 0 if ok else 1
    _show(manifest)
    if not verify:
        _show_code(code)
    _show_receipt(_receipt(contents))
    if runtime := _runtime(manifest):
        click.echo(f"\nruntime here: {runtime}")
    if verify:
        click.echo(f"\nall {len(manifest.files)} files are unchanged since the export")
    for check in checks:
        parity = check["parity"]
        how = f" with {check['backend']}" if check["with_kernels"] else ""
        verdict = "equal" if parity.ok else "NOT EQUAL"
        click.echo(
            f"{check['file']}{how}: {verdict} to PyTorch, max|a-b| / max|b| = {parity.max_rel:.1e} "
            f"(tolerance {parity.tolerance:g})"
        )
    for file, reason in not_checked.items():
        click.echo(f"{file}: not run here, {reason}")
    return 0 if ok else 1


def _verify(bundle) -> tuple[list[dict], dict[str, str]]:
    """The result of each file, and by name the reason for files that cannot run here."""
    import edgevid
    from edgevid.backends import opener
    from edgevid.errors import BackendError

    checks, not_run = [], {}
    for artefact in bundle.manifest.artefacts:
        # The file that a session opens runs twice: in the plain runtime, and with this machine's kernels.
        backend = opener(bundle.manifest.backend, artefact)
        twice = artefact.file == bundle.manifest.model_file and backend == bundle.manifest.backend
        for with_kernels in (False, True) if twice else (False,):
            how = f" with {_what_runs(backend)}" if with_kernels else ""
            click.echo(f"running {artefact.file}{how}", err=True)
            try:
                session = edgevid.Session(bundle, artefact=artefact, with_kernels=with_kernels)
                parity = session.check()
            except BackendError as reason:
                if artefact.file == bundle.manifest.model_file:
                    raise
                not_run[artefact.file] = str(reason)
                continue
            checks.append(
                {
                    "file": artefact.file,
                    "precision": artefact.precision,
                    "backend": _what_runs(backend) if with_kernels else artefact.opened_by,
                    "with_kernels": with_kernels,
                    "parity": parity,
                }
            )
    return checks, not_run


def _what_runs(backend: str) -> str:
    from edgevid.backends import BACKENDS

    entry = BACKENDS.get(backend)
    return "kernels" if entry and entry.has_kernels else backend


def _takes_kernels(artefact, manifest) -> bool:
    """Whether a session on this machine opens the file with the bundle's own backend."""
    return artefact.file == manifest.model_file and artefact.opened_by == manifest.backend


def _receipt(bundle) -> tuple:
    """The kernel of each temporal op on this machine, from an open session.

    Empty if opening the bundle would run code that came with it, which inspecting must not do.
    """
    import edgevid
    from edgevid.bundle.native_code import opening_runs_code

    manifest = bundle.manifest
    if opening_runs_code(bundle) or not any(_takes_kernels(item, manifest) for item in manifest.artefacts):
        return ()
    return edgevid.Session(bundle).op_coverage


def _runtime(manifest) -> str | None:
    """The bundle's runtime on this machine, and where its kernels come from; None if it is not here."""
    from edgevid.backends import BACKENDS

    backend = BACKENDS.get(manifest.backend)
    state = backend.available() if backend else None
    return state.what if state and state.ok else None


def _show_code(code: dict[str, str], err: bool = False) -> None:
    """Print a line for each way that code in the bundle can run, with its files."""
    for trigger in dict.fromkeys(code.values()):
        names = [name for name, how in code.items() if how == trigger]
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        click.echo(f"contains native code: {', '.join(names[:MAX_NAMES])}{more}; {trigger}", err=err)


def _show_receipt(receipt: tuple) -> None:
    rows = [
        (op.name, op.kernel or f"none: {op.reason}", op.flops, *map(_mib, (op.bytes_before, op.bytes_after)))
        for op in receipt
    ]
    if rows:
        from tabulate import tabulate

        headers = ["temporal op", "kernel on this machine", "FLOPs", "MiB moved before", "after"]
        click.echo("\n" + tabulate(rows, headers=headers))


def _mib(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.2f}"


def _one_input(manifest) -> str:
    return "frame" if manifest.streaming else manifest.inputs[0].name


def _plan(bundle) -> dict | None:
    """The engine layer info of a TensorRT bundle without its layers; None for other bundles."""
    from edgevid.errors import BundleError
    from edgevid.specs import records

    if PLAN not in bundle.manifest.files:
        return None
    try:
        content = records.parse(bundle.read(PLAN, MAX_PLAN_BYTES))
    except ValueError as error:
        raise BundleError(f"bundle '{bundle.path}': {PLAN} cannot be read ({error}): export again") from None
    if not isinstance(content, dict):
        raise BundleError(f"bundle '{bundle.path}': {PLAN} is not a JSON object: export again")
    return {key: value for key, value in content.items() if key != "layers"}


def _describe_plan(plan) -> str:
    if plan["kernels"] is None:
        return f"not available: {plan['why_none']}"
    return (
        f"{plan['kernels']} kernels, {plan['copies']} of them copies, {_mib(plan['activation_bytes'])} MiB "
        f"of activations ({plan['plan']} of {plan['file']}; TensorRT on the device may fuse differently)"
    )


def _describe_calibration(manifest) -> str:
    record, parity = manifest.calibration, manifest.parity
    errors = f"{parity.max_rel:.1e} relative error of the outputs"
    if parity.local_error is not None:
        errors += f", worst per-layer error {parity.local_error:.1e}"
    if parity.top1_agreement is not None:
        errors += f", top-1 agreement {parity.top1_agreement:.0%}"
    skipped = f"; {len(record['skipped'])} videos could not be read" if record["skipped"] else ""
    method = f", {record['preprocessing']} preprocessing" if "preprocessing" in record else ""
    return (
        f"ranges from {record['clips']} clips of {record['videos']} videos{method}, ignoring the outermost "
        f"{record['outliers']:g} of each tensor's values (seed {record['seed']}){skipped}; "
        f"evaluated on {record['held_out']} held-out clips: {errors}"
    )


def _show(manifest) -> None:
    from tabulate import tabulate

    def tensor(spec) -> str:
        return f"{spec.name} {'x'.join(map(str, spec.shape))} {spec.dtype}" + (
            f" ({spec.layout})" if spec.layout else ""
        )

    weights, prep = manifest.weights, manifest.preprocessing
    rows = [
        ("model", f"{manifest.model} ({manifest.source})"),
        ("target", manifest.target),
        ("backend", f"{manifest.backend}, {manifest.precision}"),
        ("inputs", "; ".join(map(tensor, manifest.inputs))),
        ("outputs", "; ".join(map(tensor, manifest.outputs))),
        ("states", f"{len(manifest.states)}, initialized to zero" if manifest.states else "none"),
        ("labels", manifest.labels or "none"),
        (
            "preprocessing",
            f"short side {prep.short_side}, crop {prep.crop}, {prep.describe()}",
        ),
        (
            "weights",
            f"{weights.source}; {weights.parameters:,} parameters, {weights.size_bytes / 2**20:.1f} MiB",
        ),
        ("MACs", f"{manifest.macs / 1e9:.3f} G per {_one_input(manifest)}"),
        ("temporal ops", ", ".join(manifest.kernels) or "none"),
        (
            "equal to PyTorch",
            f"{manifest.parity.max_rel:.1e} relative, tolerance {manifest.parity.tolerance:g}",
        ),
        *([("int8", _describe_calibration(manifest))] if manifest.calibration else []),
        *([("engine layers", _describe_plan(manifest.plan))] if manifest.plan else []),
        ("created", f"{manifest.created} by edgevid {manifest.tools.get('edgevid', '?')}"),
    ]
    click.echo(tabulate(rows, tablefmt="plain"))
    if manifest.states:
        states = [(s.input, s.output, "x".join(map(str, s.shape)), s.dtype, s.op) for s in manifest.states]
        click.echo("\n" + tabulate(states, headers=["state input", "state output", "shape", "type", "op"]))
    files = [
        (a.file, a.precision, a.purpose, f"{a.parity.max_rel:.1e}" if a.parity else "-")
        for a in manifest.artefacts
    ]
    click.echo("\n" + tabulate(files, headers=["model file", "precision", "for", "max rel error"]))
    passes = [(p.name, p.matched, "; ".join(p.refused) or "-") for p in manifest.passes]
    click.echo("\n" + tabulate(passes, headers=["pass", "matched", "not applied because"]))
    for layer, reason in manifest.calibration.get("float_layers", {}).items():
        click.echo(f"\nnot in int8: {layer} ({reason})")
    for sentence in manifest.not_run:
        click.echo(f"\nnot run at export: {sentence}")
    for sentence in manifest.warnings:
        click.echo(f"\nwarning: {sentence}")

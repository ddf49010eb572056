"""Read and write ``manifest.json``, the description of a bundle, and the file with its SHA-256.

To add a field, add it to its dataclass in ``specs``, with a default so that bundles without it can still be
read. Constraints beyond its type go to ``RULES``; constraints between fields go to ``_relations``. A field
whose meaning changes needs a new ``SCHEMA_VERSION``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from edgevid.errors import BundleError
from edgevid.host.safe_paths import path_error, read_bounded
from edgevid.specs import (
    PARITY,
    SCHEMA_VERSION,
    Artefact,
    CalibrationRecord,
    Manifest,
    Parity,
    PassReport,
    Preprocessing,
    StateSpec,
    TensorSpec,
    Weights,
    records,
)
from edgevid.specs.records import at_least, matches, one_of, positive

MANIFEST, MANIFEST_HASH = "manifest.json", "manifest.sha256"
LABELS = "labels.txt"
MAX_BYTES = 16 << 20
MAX_SIDE = 1 << 15
"""The largest plausible size in pixels, and along an axis of a tensor."""
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
DTYPES = ("float32", "float16", "bfloat16", "float64", "int8", "uint8", "int32", "int64", "bool")
SHA256 = "[0-9a-f]{64}"


def a_size(value: int | str) -> str | None:
    """Of an axis: an integer, or the name of one that is free."""
    if isinstance(value, str):
        return None if re.fullmatch(r"\w+", value) else "must be a number or the name of a free axis"
    return None if 1 <= value < 1 << 31 else "must be from 1 to 2147483647"


a_name = matches(r"\S(.*\S)?", "a name")
a_hash = matches(SHA256, "a SHA-256, 64 hexadecimal digits in lower case")

RULES: records.Rules = {
    TensorSpec: {
        "name": a_name,
        "shape": a_size,
        "dtype": one_of(*DTYPES),
        "layout": matches("[A-Z]*", "axes"),
    },
    StateSpec: {"input": a_name, "output": a_name, "shape": a_size, "dtype": one_of(*DTYPES)},
    Preprocessing: {
        "short_side": at_least(1, MAX_SIDE),
        "crop": at_least(1, MAX_SIDE),
        "std": positive,
        "color": one_of("RGB", "BGR"),
        "sampling": one_of("segments", "dense"),
    },
    Weights: {"sha256": matches(f"({SHA256})?", "a SHA-256, or empty")},
    PassReport: {"name": a_name},
    Parity: {
        "max_abs": at_least(0),
        "max_rel": at_least(0),
        "tolerance": positive,
        "clips": at_least(1),
        "top1_agreement": at_least(0, 1),
        "local_error": at_least(0),
    },
    Artefact: {"precision": one_of(*PRECISIONS), "opened_by": a_name},
    Manifest: {
        "model": a_name,
        "target": a_name,
        "backend": a_name,
        "precision": one_of(*PRECISIONS),
        "frames": at_least(1, MAX_SIDE),
        "files": a_hash,
    },
}

NEEDED = {
    "calibration": frozenset(CalibrationRecord.__annotations__) - {"float_layers", "preprocessing"},
    "plan": frozenset({"file", "plan", "kernels", "copies", "why_none"}),
}
"""Required keys of the optional records (empty if absent)."""


def write(folder: Path, manifest: Manifest, hashes: dict[str, str]) -> None:
    """Write the manifest with the ``hashes`` of the other files by name, and last of all its own hash.

    Unprintable characters, such as color codes in a compiler's message, become question marks.
    """
    content = records.printable(asdict(replace(manifest, files=hashes)))
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    (folder / MANIFEST).write_bytes(text.encode())
    # In the form that `sha256sum -c` reads, which every device has.
    (folder / MANIFEST_HASH).write_bytes(
        f"{hashlib.sha256(text.encode()).hexdigest()}  {MANIFEST}\n".encode()
    )


def read(folder: Path) -> Manifest:
    """The manifest of the bundle in ``folder``.

    Raises ``BundleError`` if its schema is unsupported, its hash differs, or a value is invalid; the message
    names the key.
    """
    data = _read(folder, MANIFEST, MAX_BYTES)
    content, broken = None, ""
    try:
        content = records.parse(data)
    except ValueError as error:
        broken = str(error)
    _check_schema(folder, content)
    _check_hash(folder, data)
    if broken:
        raise BundleError(
            f"'{folder / MANIFEST}' cannot be read ({broken}): copy the bundle again, or export again"
        )
    try:
        manifest = records.decode(Manifest, content, RULES)
        for field in fields(Preprocessing):
            # A default in its place would change the outputs silently.
            if field.name not in (content or {})["preprocessing"] and field.name != "source":
                raise ValueError(f"preprocessing.{field.name} is missing")
        for complaint in _relations(manifest):
            raise ValueError(complaint)
    except ValueError as error:
        raise BundleError(
            f"'{folder / MANIFEST}' is not valid: {error}. Export again, or update edgevid"
        ) from None
    return manifest


def _read(folder: Path, name: str, max_bytes: int) -> bytes:
    try:
        return read_bounded(folder, name, max_bytes)
    except FileNotFoundError:
        raise BundleError(
            f"bundle '{folder}' lacks its file '{name}': copy it again, or export again"
        ) from None
    except ValueError as reason:
        raise BundleError(f"'{folder / name}' {reason}: do not use this bundle, export again") from None


def _check_schema(folder: Path, content: Any) -> None:
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool):
        return
    if schema > SCHEMA_VERSION:
        raise BundleError(
            f"bundle '{folder}' has schema {schema}, this edgevid reads {SCHEMA_VERSION}: "
            "update it (pip install -U edgevid)"
        )
    if schema < SCHEMA_VERSION:
        raise BundleError(
            f"bundle '{folder}' was written by an older edgevid (schema {schema}, this one reads "
            f"{SCHEMA_VERSION}): export again"
        )


def _check_hash(folder: Path, data: bytes) -> None:
    line = _read(folder, MANIFEST_HASH, 1000).decode("utf-8", "replace")
    expected = re.fullmatch(rf"({SHA256})  {re.escape(MANIFEST)}\n", line)
    if expected is None or hashlib.sha256(data).hexdigest() != expected[1]:
        changed = MANIFEST_HASH if expected is None else MANIFEST
        raise BundleError(
            f"bundle '{folder}': '{changed}' was changed after the export (its SHA-256 differs): "
            "copy it again, or export again"
        )


def _relations(manifest: Manifest) -> Iterator[str]:
    """Yield inconsistencies between fields that are valid by themselves, each with its key first."""
    for name in manifest.files:
        if reason := path_error(name):
            yield f"files.{json.dumps(name)} {reason}"
    for index, artefact in enumerate(manifest.artefacts):
        if artefact.file not in manifest.files:
            yield f"artefacts[{index}].file is not one of the bundle's files"
    files = [artefact.file for artefact in manifest.artefacts]
    if len(set(files)) < len(files):
        yield "artefacts name a file twice"
    if manifest.model_file not in files:
        yield "model_file is not one of the artefacts"
    if manifest.model_file in files:
        main = manifest.artefacts[files.index(manifest.model_file)]
        if main.precision != manifest.precision:
            yield f"precision is {manifest.precision}, but that of model_file is {main.precision}"
        if main.parity != manifest.parity:
            yield "parity differs from that of model_file"
    if PARITY not in manifest.files:
        yield f"files do not include {PARITY}"
    if (LABELS in manifest.files) != (manifest.labels is not None):
        yield f"labels and the file {LABELS} must be both present or both absent"
    yield from _tensor_relations(manifest)
    for name, record in (("calibration", manifest.calibration), ("plan", manifest.plan)):
        if record and (missing := NEEDED[name] - record.keys()):
            yield f"{name}.{min(missing)} is missing"
    if manifest.plan.get("kernels") is not None and "activation_bytes" not in manifest.plan:
        yield "plan.activation_bytes is missing"


def _tensor_relations(manifest: Manifest) -> Iterator[str]:
    if len(manifest.inputs) != 1:
        yield "inputs must be one tensor: the states of a stream are listed under states"
        return
    if not manifest.outputs:
        yield "outputs are missing"
    names = [tensor.name for tensor in (*manifest.inputs, *manifest.outputs)]
    names += [name for state in manifest.states for name in (state.input, state.output)]
    if len(set(names)) < len(names):
        yield f"inputs, outputs and states have the name {json.dumps(max(names, key=names.count))} twice"
    if manifest.states and not manifest.streaming:
        yield "streaming is false, but there are states"
    shape, axes = manifest.inputs[0].shape, (4,) if manifest.streaming else (4, 5)
    if len(shape) not in axes:
        kinds = "a frame of a stream" if manifest.streaming else "a clip (5) or an image (4)"
        yield f"inputs[0].shape has {len(shape)} axes, which is not {kinds}"
        return
    expected = [(-1, "preprocessing.crop", manifest.preprocessing.crop)]
    expected += [(-2, *expected[0][1:])]
    if len(shape) == 5:
        expected.append((1, "frames", manifest.frames))
    for axis, name, size in expected:
        if isinstance(shape[axis], int) and shape[axis] != size:
            yield f"inputs[0].shape[{axis % len(shape)}] is {shape[axis]}, but {name} is {size}"
    for index, output in enumerate(manifest.outputs):
        last = output.shape[-1] if output.shape else 0
        if output.name == "logits" and isinstance(last, int) and last != manifest.classes:
            axis = len(output.shape) - 1
            yield f"outputs[{index}].shape[{axis}] is {last}, but classes is {manifest.classes}"
        elif output.name == "logits" and output.shape[:-1] != shape[:1]:
            yield f"outputs[{index}].shape is {list(output.shape)}, which is not a row for each clip"

"""A bundle of a few bytes with a manifest that is right in itself, for tests that open no model."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from edgevid.bundle import Bundle, write_manifest
from edgevid.specs import (
    Artefact,
    Manifest,
    Parity,
    PassReport,
    Preprocessing,
    StateSpec,
    TensorSpec,
    Weights,
)

PARITY = Parity(1e-6, 1e-6, 1e-4)
CLIP = Manifest(
    model="tiny",
    target="cpu",
    backend="onnxruntime",
    precision="fp32",
    streaming=False,
    frames=4,
    classes=5,
    inputs=(TensorSpec("clip", (1, 4, 3, 64, 64), layout="NTCHW", unit="normalised colour"),),
    outputs=(TensorSpec("logits", (1, 5), layout="NK", unit="logit"),),
    states=(),
    preprocessing=Preprocessing(73, 64),
    weights=Weights("random (seed 0)", 10, 40),
    macs=1000,
    parity=PARITY,
    artefacts=(Artefact("model.onnx", "fp32", "any runtime", "onnxruntime", PARITY),),
    passes=(PassReport("fold_batch_norm", 3, ("one is shared",)),),
    tools={"edgevid": "0.1.0"},
    created="2025-01-01T00:00:00+00:00",
)
STREAM = replace(
    CLIP,
    streaming=True,
    inputs=(TensorSpec("frame", (1, 3, 64, 64), layout="NCHW"),),
    states=(StateSpec("state_0", "next_state_0", (1, 3, 16, 16), op="backbone.shift"),),
)


def write_bundle(folder: Path, manifest: Manifest = CLIP, **files: bytes) -> Bundle:
    """``manifest``, its model files and ``parity.npz``, each of a few bytes, and other ``files`` by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("parity.npz", *(artefact.file for artefact in manifest.artefacts)):
        (folder / name).write_bytes(f"the content of {name}".encode())
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, manifest)
    return Bundle.open(folder)


def rewrite(folder: Path, content: bytes | object) -> None:
    """Put other JSON, or other bytes, in the manifest's place, with the hash that belongs to them."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_text(f"{sha256(data).hexdigest()}  manifest.json\n")

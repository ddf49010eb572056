"""A bundle of a few bytes with a manifest that is right in itself, for tests that open no model."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

import edgevid
from edgevid.bundle.bundle import Bundle, write_manifest
from edgevid.errors import BundleError
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
        # What ONNX takes for a model with nothing in it but the name of its producer.
        (folder / name).write_bytes(bytes([0x12, len(name)]) + name.encode())
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, manifest)
    return Bundle.open(folder)


def write_running_bundle(folder: Path) -> Bundle:
    """A bundle whose network passes on the first five values of a clip."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    write_bundle(folder)
    bounds = {"start": 0, "end": 5, "axis": 1}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["clip"], ["flat"]),
            helper.make_node("Slice", ["flat", *bounds], ["logits"]),
        ],
        "first",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, CLIP.inputs[0].shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, CLIP.outputs[0].shape)],
        [numpy_helper.from_array(np.array([value]), name) for name, value in bounds.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    write_manifest(folder, CLIP)
    return Bundle.open(folder)


def rewrite(folder: Path, content: bytes | object) -> None:
    """Put other JSON, or other bytes, in the manifest's place, with the hash that belongs to them."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_text(f"{sha256(data).hexdigest()}  manifest.json\n")


def as_made_for(kind: str) -> Manifest:
    """Of a tiny bundle of the kind ``cpu``, ``stream``, ``int8``, ``jetson``, ``mobile`` or ``tvm``."""
    if kind in ("cpu", "stream"):
        return {"cpu": CLIP, "stream": STREAM}[kind]
    target, backend, precision, file = {
        "int8": ("cpu", "onnxruntime", "int8", "model.int8.onnx"),
        "jetson": ("jetson", "tensorrt", "fp16", "model_fp16.onnx"),
        "mobile": ("mobile", "onnxruntime", "fp32", "model.ort"),
        "tvm": ("cpu", "tvm", "fp32", "model.so"),
    }[kind]
    opened_by = "tvm" if kind == "tvm" else "onnxruntime"
    return replace(
        CLIP,
        target=target,
        backend=backend,
        precision=precision,
        model_file=file,
        artefacts=(Artefact(file, precision, "this test", opened_by, PARITY),),
    )


def changed_bytes_are_noticed(bundle: Bundle, copy: Path) -> int:
    """Flip a bit of each file of a copy in turn: opening it fails each time. Returns how many files."""
    shutil.copytree(bundle.path, copy, ignore=shutil.ignore_patterns("cache"))
    names = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
    for name in names:
        path = copy / name
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(BundleError, match=f"'{re.escape(name)}' was changed"):
            edgevid.open(copy)
        path.write_bytes(original)
    return len(names)

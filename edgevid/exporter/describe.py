"""The manifest of an export: a record of the results of each step."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import platform
from pathlib import Path

from edgevid.backends.protocol import Compiled
from edgevid.bundle.manifest import LABELS
from edgevid.errors import EdgevidError
from edgevid.exporter.calibration import Calibration
from edgevid.exporter.check import Checked
from edgevid.exporter.example import Example, describe_input, describe_outputs
from edgevid.exporter.graph import Graph
from edgevid.exporter.network import Network
from edgevid.exporter.request import Request
from edgevid.specs import Manifest
from edgevid.video.labels import default_label_set, read_labels

TOOLS = ("edgevid", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")
TRAINED_LABELS = "training"
"""The name of the label set that a checkpoint of ``edgevid train`` brings."""

OPTIONAL_TOOLS = ("apache-tvm", "tensorrt-rtx", "triton")


def describe(
    request: Request,
    network: Network,
    example: Example,
    graph: Graph,
    compiled: Compiled,
    calibration: Calibration | None,
    checked: Checked,
    *,
    labels: str | None,
    warnings: tuple[str, ...],
) -> Manifest:
    return Manifest(
        model=request.spec.name,
        source=request.spec.source,
        target=request.target.name,
        backend=request.backend.name,
        precision=request.precision,
        streaming=request.streaming,
        frames=request.frames,
        classes=example.classes,
        inputs=(describe_input(request),),
        outputs=describe_outputs(example, request.streaming),
        states=graph.states,
        preprocessing=request.spec.preprocessing,
        weights=network.weights(graph.weight_bytes),
        macs=graph.macs,
        parity=checked.parity_of(compiled.model_file),
        artefacts=checked.artefacts,
        model_file=compiled.model_file,
        labels=labels,
        passes=graph.passes + compiled.passes,
        kernels=compiled.kernels,
        not_run=checked.not_run,
        warnings=warnings,
        calibration=calibration.record(compiled.float_layers) if calibration else {},
        plan=dict(compiled.plan),
        tools=_tools(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def write_labels(request: Request, classes: int, folder: Path) -> str | None:
    """Write the class names if there is a label set for them; returns the name of the set."""
    if request.options.labels is None and request.trained is not None:
        (folder / LABELS).write_text("\n".join(request.trained.classes) + "\n", "utf-8")
        return TRAINED_LABELS
    name = request.options.labels or default_label_set(classes)
    if name is None:
        return None
    if not classes:
        raise EdgevidError(f"{request.spec.name} does not return logits: leave out --labels")
    labels = read_labels(name)
    if len(labels) != classes:
        raise EdgevidError(
            f"label set '{name}' has {len(labels)} labels, the network has {classes} classes: "
            "choose another with --labels"
        )
    (folder / LABELS).write_text("\n".join(labels) + "\n", "utf-8")
    return Path(name).stem if Path(name).is_file() else name


def _tools() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    for name in OPTIONAL_TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"python": platform.python_version(), **versions}

"""A second model file that returns the class activation maps, for ``edgevid explain``.

The bundle's own model stays as it is and as fast. The maps are compared with those of the eager network, and
with the logits, which are their mean and the classifier's bias.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from edgevid import parity
from edgevid.backends.protocol import Compiled
from edgevid.errors import ParityError
from edgevid.exporter.check import OpenModel
from edgevid.exporter.example import Example, eager_outputs
from edgevid.exporter.graph import Graph
from edgevid.exporter.request import Request
from edgevid.passes import LOWERING, run_passes
from edgevid.passes.class_activation import Classifier, add_maps, find_classifier
from edgevid.specs import LOGITS, TOLERANCE, Artefact
from edgevid.specs.explanation import EXPLAIN_MODEL, MAPS

WEIGHTS = "model.explain.weights"
INLINE_BYTES = 256
RUNTIME = "onnxruntime"
"""It opens the file on every machine, whatever the bundle's backend is."""


def with_maps(request: Request, graph: Graph) -> tuple[ir.Model, Classifier] | None:
    """A copy of the graph with the maps, if they are requested; ``ExportError`` if it has none."""
    if not request.options.explain:
        return None
    classifier = find_classifier(graph.model)
    model = graph.model.clone()
    add_maps(model)
    run_passes(model, LOWERING)
    return model, classifier


def write_explain(
    network: torch.nn.Module,
    request: Request,
    example: Example,
    graph: Graph,
    explained: tuple[ir.Model, Classifier] | None,
    compiled: Compiled,
    folder: Path,
) -> Compiled:
    """Add the file; ``ParityError`` if its maps are not the eager network's."""
    if explained is None:
        return compiled
    model, classifier = explained
    artefact = Artefact(EXPLAIN_MODEL, "fp32", "edgevid explain: class activation maps", opened_by=RUNTIME)
    shared = _share_weights(model, folder, (each.file for each in compiled.artefacts))
    ir.save(
        model,
        folder / EXPLAIN_MODEL,
        external_data=None if shared else WEIGHTS,
        size_threshold_bytes=INLINE_BYTES,
    )
    opened = OpenModel.open(folder, artefact, request, graph.states, (LOGITS, MAPS))
    outputs = opened.run_clip(example.array)
    _check(outputs, classifier, request)
    features = _eager_features(network, request, example.array, classifier)
    if features is not None:
        _refuse_unless_ok({MAPS: outputs[MAPS]}, {MAPS: classifier.maps_of(features)}, request)
    return replace(compiled, artefacts=(*compiled.artefacts, artefact))


def _check(outputs: dict[str, np.ndarray], classifier: Classifier, request: Request) -> None:
    """The mean of the maps, of each frame of a stream, is the logit without the bias."""
    axes = (2, 3) if request.streaming else (0, 2, 3)
    means = outputs[MAPS].mean(axes, dtype=np.float64) + classifier.bias
    _refuse_unless_ok({LOGITS: means.reshape(outputs[LOGITS].shape)}, {LOGITS: outputs[LOGITS]}, request)


def _refuse_unless_ok(
    result: dict[str, np.ndarray], expected: dict[str, np.ndarray], request: Request
) -> None:
    measured = parity.compare(result, expected, TOLERANCE["fp32"])
    if not measured.ok:
        raise ParityError(
            f"the class activation maps of {request.spec.name} do not add up to PyTorch's logits "
            f"(max|a-b| / max|b| = {measured.max_rel:.1e}): its classifier is not linear in the mean of the "
            "feature map. Leave out --explain"
        )


def _eager_features(
    network: torch.nn.Module, request: Request, array: np.ndarray, classifier: Classifier
) -> np.ndarray | None:
    """The eager network's feature map; None if no layer returns it, as where its own forward computes it."""
    kept: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            kept.append(output.detach())

    hook = network.get_submodule(classifier.layer).register_forward_hook(keep)
    try:
        eager_outputs(network, request, array)
    finally:
        hook.remove()
    features = kept[-1].float().numpy() if kept else np.empty(0)
    channels = classifier.features.shape.numpy()[1]
    return features if features.ndim in (4, 5) and features.shape[1] == channels else None


def _share_weights(model: ir.Model, folder: Path, files: Iterable[str]) -> bool:
    """Refer to the tensors that a model file keeps in the bundle's weights already; True if it has any."""
    shared = False
    for file in files:
        if not file.endswith(".onnx") or "/" in file:
            continue
        for name, value in ir.load(folder / file).graph.initializers.items():
            own, other = model.graph.initializers.get(name), value.const_value
            if own is None or not isinstance(other, ir.ExternalTensor) or own.const_value is None:
                continue
            if own.dtype == other.dtype and np.array_equal(own.const_value.numpy(), other.numpy()):
                own.const_value, shared = other, True
    return shared

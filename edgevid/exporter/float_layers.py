"""Choose the layers of an int8 network that stay in float: only those whose error is too large.

Each trial quantizes a copy, runs it and compares layer by layer; a layer whose error exceeds
``LOCAL_TOLERANCE`` goes back to float. Where the outputs exceed their tolerance though every layer is within
its own, the layers with the largest errors go back, twice as many each time. A network that is within its
tolerances at once keeps all its layers in int8.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.backends import BACKENDS
from edgevid.errors import ParityError
from edgevid.parity import compare, joined
from edgevid.passes.quantize.ranges import layer_errors, runs_of
from edgevid.specs import LOCAL_TOLERANCE, TOLERANCE, Artefact

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from edgevid.exporter.calibration import Calibration
    from edgevid.passes.quantize.quantize import Exclusions
    from edgevid.specs import Parity, StateSpec

MAX_TRIALS = 10
MIN_SHARE = 0.1
"""With a smaller share of a network's MACs in int8 there is nothing to gain."""

POINTWISE = "sums, products and pools"
TRIAL = Artefact("model.onnx", "int8", "a trial", opened_by="onnxruntime")


@dataclass(frozen=True)
class FloatLayers:
    """What stays in float: ``kept`` for the passes, ``reasons`` by layer for the reader of the manifest."""

    kept: Exclusions
    reasons: dict[str, str] = field(default_factory=dict)


def choose_float_layers(
    graph: ir.Model,
    quantize: Callable[[ir.Model, Exclusions], object],
    calibration: Calibration,
    states: tuple[StateSpec, ...],
) -> FloatLayers:
    """The layers of ``graph`` that ``quantize(copy, kept)`` must leave in float; ``graph`` is not modified.

    Raises ``ParityError`` if less than ``MIN_SHARE`` would be in int8.
    """
    import onnx_ir as ir

    from edgevid.passes.quantize.quantize import Exclusions, layers_by_output, quantized_share

    layers = layers_by_output(graph.graph)
    selection, extra = FloatLayers(Exclusions()), 1
    for _ in range(MAX_TRIALS):
        trial = graph.clone()
        quantize(trial, selection.kept)
        model = ir.to_proto(trial)
        errors = layer_errors(calibration.float_model, model, calibration.clips.held_out, states)
        beyond = {name: error for name, error in errors.items() if not error <= LOCAL_TOLERANCE}
        parity = _compare(model, calibration, states)
        if not beyond and parity.ok:
            return selection
        if beyond:
            reasons = {name: f"its per-layer error is {error:.2f}" for name, error in beyond.items()}
        elif not selection.kept.pointwise:
            by_layer = {
                **selection.reasons,
                POINTWISE: f"the outputs were {parity.max_rel:.2f} off with them",
            }
            selection = FloatLayers(replace(selection.kept, pointwise=True), by_layer)
            continue
        else:
            candidates = sorted(errors.keys() - selection.kept.layers, key=errors.get, reverse=True)
            reason = f"the outputs were {parity.max_rel:.2f} off with it"
            reasons, extra = dict.fromkeys(candidates[:extra], reason), 2 * extra
        excluded = selection.kept.layers | reasons.keys()
        if excluded == selection.kept.layers or quantized_share(graph.graph, excluded) < MIN_SHARE:
            break
        by_layer = {layers[name]: reason for name, reason in reasons.items() if name in layers}
        selection = FloatLayers(replace(selection.kept, layers=excluded), {**selection.reasons, **by_layer})
    raise ParityError(
        f"int8 does not compute what PyTorch does: max|a-b| / max|b| = {parity.max_rel:.2e}, tolerance "
        f"{parity.tolerance:g}; worst per-layer error {max(errors.values(), default=0.0):.2f}, tolerance "
        f"{LOCAL_TOLERANCE:g}, and too few layers are within it. Nothing was written; calibrate with more "
        "videos like those that the network was trained on, or use another precision"
    )


def _compare(model: onnx.ModelProto, calibration: Calibration, states: tuple[StateSpec, ...]) -> Parity:
    """Compare the model with the eager network on the held-out clips."""
    with tempfile.TemporaryDirectory(prefix="edgevid-int8-") as folder:
        (Path(folder) / TRIAL.file).write_bytes(model.SerializeToString())
        run = BACKENDS[TRIAL.opened_by].open_model(TRIAL, Path(folder)).run
        entry = model.graph.input[0]
        rank = len(entry.type.tensor_type.shape.dim)
        steps = [
            step
            for clip in calibration.clips.held_out
            for step in runs_of(run, entry.name, rank, clip, states)
        ]
    names = calibration.expected[0]
    return compare(joined(steps, names), joined(calibration.expected, names), TOLERANCE["int8"])

"""Which layers of a network in int8 stay in float: those that int8 puts beyond the bounds, and no others.

A trial is quantised, run, and looked into layer by layer; what is beyond ``LOCAL_TOLERANCE`` goes back to
float. Where the outputs are beyond theirs though every layer is sound, the layers with the largest errors do,
twice as many each time. A network that is sound at once keeps all its layers in int8.
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

MOST_TRIALS = 10
LEAST_SHARE = 0.1
"""With less of a network's multiply-adds in int8 there is nothing to gain."""

POINTWISE = "sums, products and pools"
TRIAL = Artefact("model.onnx", "int8", "a trial", opened_by="onnxruntime")


@dataclass(frozen=True)
class FloatLayers:
    """What stays in float: for the passes ``kept``, and for people the reason of each layer by its path."""

    kept: Exclusions
    reasons: dict[str, str] = field(default_factory=dict)


def choose_float_layers(
    graph: ir.Model,
    quantise: Callable[[ir.Model, Exclusions], object],
    calibration: Calibration,
    states: tuple[StateSpec, ...],
) -> FloatLayers:
    """The layers of ``graph``, which stays as it is, that ``quantise(copy, kept)`` must leave alone.

    Raises ``ParityError`` if so many are that int8 is not worth its name.
    """
    import onnx_ir as ir

    from edgevid.passes.quantize.quantize import Exclusions, layers_by_output, quantized_share

    layers = layers_by_output(graph.graph)
    chosen, extra = FloatLayers(Exclusions()), 1
    for _ in range(MOST_TRIALS):
        trial = graph.clone()
        quantise(trial, chosen.kept)
        model = ir.to_proto(trial)
        errors = layer_errors(calibration.float_model, model, calibration.clips.held_out, states)
        beyond = {name: error for name, error in errors.items() if not error <= LOCAL_TOLERANCE}
        parity = _compare(model, calibration, states)
        if not beyond and parity.ok:
            return chosen
        if beyond:
            news = {name: f"its error alone is {error:.2f} of its result" for name, error in beyond.items()}
        elif not chosen.kept.pointwise:
            reasons = {**chosen.reasons, POINTWISE: f"the outputs were {parity.max_rel:.2f} off with them"}
            chosen = FloatLayers(replace(chosen.kept, pointwise=True), reasons)
            continue
        else:
            left = sorted(errors.keys() - chosen.kept.layers, key=errors.get, reverse=True)
            why = f"the outputs were {parity.max_rel:.2f} off with it"
            news, extra = dict.fromkeys(left[:extra], why), 2 * extra
        products = chosen.kept.layers | news.keys()
        if products == chosen.kept.layers or quantized_share(graph.graph, products) < LEAST_SHARE:
            break
        named = {layers[name]: reason for name, reason in news.items() if name in layers}
        chosen = FloatLayers(replace(chosen.kept, layers=products), {**chosen.reasons, **named})
    raise ParityError(
        f"int8 does not compute what PyTorch does: max|a-b| / max|b| = {parity.max_rel:.2e}, tolerance "
        f"{parity.tolerance:g}; of the worst layer alone {max(errors.values(), default=0.0):.2f}, tolerance "
        f"{LOCAL_TOLERANCE:g}, and without the layers that cannot bear it too little is left. Nothing was "
        "written; calibrate with more videos like those that the network was trained on, or use another "
        "precision"
    )


def _compare(model: onnx.ModelProto, calibration: Calibration, states: tuple[StateSpec, ...]) -> Parity:
    """How far the model is from the eager network on the clips that were held out."""
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

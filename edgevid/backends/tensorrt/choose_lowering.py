"""Choose the lowering variant of each temporal op that TensorRT runs in the fewest kernels.

All variants of an op compute the same. Each is put into the network, one op type at a time, and the kernels
are counted in the engine layer info. The variant with the fewest kernels wins; ties go to fewer copies, then
fewer bytes, then the variant listed first. A network repeats its blocks and TensorRT fuses neighbors, so the
first blocks are representative, in a fraction of the time (``subgraph_prefix``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.backends.tensorrt.layer_info import LayerInfo, LayerInfoError, layer_info_of
from edgevid.specs import PassReport

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Candidate:
    """The layer info of the network's prefix with one op type lowered to one variant."""

    op_type: str
    variant: str
    info: LayerInfo

    @property
    def sentence(self) -> str:
        kernels, copies, _ = self.info.cost
        return f"{self.op_type} as {self.variant}: {kernels} kernels, {copies} of them copies"

    def as_dict(self) -> dict[str, Any]:
        kernels, copies, activation_bytes = self.info.cost
        return {
            "op": self.op_type,
            "form": self.variant,
            "of": f"the network up to its third {self.op_type}",
            "kernels": kernels,
            "copies": copies,
            "activation_bytes": activation_bytes,
        }


@dataclass(frozen=True)
class Selection:
    """The variant of each op type that has several, and the candidates that were measured.

    ``not_measured`` is the reason why nothing was measured, or why measuring ended early; op types that were
    not measured have their first variant.
    """

    variants: dict[str, str] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()
    not_measured: str = ""

    @property
    def report(self) -> PassReport:
        rejected = [
            candidate.sentence
            for candidate in self.candidates
            if self.variants.get(candidate.op_type, candidate.variant) != candidate.variant
        ]
        reasons = [self.not_measured] if self.not_measured else []
        return PassReport("choose_forms", len(self.variants), (*rejected, *reasons))


OPS_PER_TYPE = 3
"""Ops of each type in the measured prefix of a network: two whole blocks, and what follows."""


def choose_variants(
    graph: ir.Model,
    finish: Callable[[ir.Model, dict[str, str]], ir.Model],
    compute_capability: str,
    measure: Callable[[Path, str], LayerInfo] = layer_info_of,
) -> Selection:
    """Measure each variant of each op type in ``graph``, which is not changed.

    ``finish`` lowers a copy of the prefix with the given variants to the model that TensorRT gets. One op
    type with three variants takes three builds.
    """
    import onnx_ir as ir

    from edgevid.ops import OPS

    present = {node.op_type for node in graph.graph}
    options = {
        op.name: tuple(op.variants) for op in OPS.values() if len(op.variants) > 1 and op.name in present
    }
    prefix = subgraph_prefix(graph, tuple(options)) if options else graph
    selected = {op_type: variants[0] for op_type, variants in options.items()}
    candidates: list[Candidate] = []

    def info_of(variants: dict[str, str]) -> LayerInfo:
        with tempfile.TemporaryDirectory(prefix="edgevid-plan-") as folder:
            path = Path(folder) / "model.onnx"
            ir.save(finish(prefix.clone(), variants), path)
            return measure(path, compute_capability)

    try:
        best = info_of(selected) if selected else None
        for op_type, variants in options.items():
            candidates.append(Candidate(op_type, variants[0], best))
            for variant in variants[1:]:
                candidate = Candidate(op_type, variant, info_of({**selected, op_type: variant}))
                candidates.append(candidate)
                if candidate.info.cost < best.cost:
                    best, selected = candidate.info, {**selected, op_type: variant}
    except LayerInfoError as error:
        return Selection(selected, tuple(candidates), str(error))
    return Selection(selected, tuple(candidates))


def subgraph_prefix(graph: ir.Model, op_types: tuple[str, ...]) -> ir.Model:
    """A copy of ``graph`` that ends after the third op of each of ``op_types``.

    Values that the removed nodes read become outputs.
    """
    from onnx_ir.passes import common

    prefix = graph.clone()
    nodes = list(prefix.graph)
    ends = []
    for op_type in op_types:
        indices = [index for index, node in enumerate(nodes) if node.op_type == op_type]
        ends.append(indices[:OPS_PER_TYPE][-1])
    head, tail = nodes[: max(ends) + 1], nodes[max(ends) + 1 :]
    tail_inputs = {value for node in tail for value in node.inputs}
    outputs = [value for node in head for value in node.outputs if value in tail_inputs]
    outputs += [value for value in prefix.graph.outputs if value.producer() in head and value not in outputs]
    prefix.graph.outputs.clear()
    prefix.graph.outputs.extend(outputs)
    prefix.graph.remove(tail, safe=True)
    common.RemoveUnusedNodesPass()(prefix)
    return prefix

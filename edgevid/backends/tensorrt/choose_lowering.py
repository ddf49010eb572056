"""Which form of each temporal op costs TensorRT the fewest kernels, by plans of the first part of a network.

The forms mean the same. Each is put into the network, one kind of op at a time, and the plan is read; the one
of fewest kernels wins, then of fewest copies among them, then of fewest bytes, then the one that is listed
first. A network repeats its blocks, and TensorRT fuses neighbours, so its first blocks tell as much as all of
them, in a fraction of the time (``head_of``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.backends.tensorrt.layer_info import NoPlanError, Plan, plan_of
from edgevid.specs import PassReport

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Trial:
    """The plan of the network's first part with one kind of op in one form."""

    op_type: str
    form: str
    plan: Plan

    @property
    def sentence(self) -> str:
        kernels, copies, _ = self.plan.cost
        return f"{self.op_type} as {self.form}: {kernels} kernels, {copies} of them copies"

    def as_dict(self) -> dict[str, Any]:
        kernels, copies, moved = self.plan.cost
        return {
            "op": self.op_type,
            "form": self.form,
            "of": f"the network up to its third {self.op_type}",
            "kernels": kernels,
            "copies": copies,
            "activation_bytes": moved,
        }


@dataclass(frozen=True)
class Choice:
    """The form of each op type that has several, and what was measured to choose it.

    ``why_none`` says why nothing was measured, or why measuring ended; ops it left out have their first form.
    """

    forms: dict[str, str] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    why_none: str = ""

    @property
    def report(self) -> PassReport:
        lost = [
            trial.sentence for trial in self.trials if self.forms.get(trial.op_type, trial.form) != trial.form
        ]
        return PassReport(
            "choose_forms", len(self.forms), (*lost, *([self.why_none] if self.why_none else []))
        )


OPS_OF_A_KIND = 3
"""How many ops of each kind the measured part of a network holds: two whole blocks, and what follows."""


def choose_forms(
    graph: ir.Model,
    finish: Callable[[ir.Model, dict[str, str]], ir.Model],
    compute_capability: str,
    measure: Callable[[Path, str], Plan] = plan_of,
) -> Choice:
    """Measure each form of each op type in ``graph``, which stays as it is.

    ``finish`` makes of a copy of its first part, in given forms, what TensorRT will be given. A network of
    one kind of op with three forms takes three plans.
    """
    import onnx_ir as ir

    from edgevid.ops import OPS

    present = {node.op_type for node in graph.graph}
    candidates = {
        op.name: tuple(op.variants) for op in OPS.values() if len(op.variants) > 1 and op.name in present
    }
    head = head_of(graph, tuple(candidates)) if candidates else graph
    chosen = {op_type: forms[0] for op_type, forms in candidates.items()}
    trials: list[Trial] = []

    def plan(forms: dict[str, str]) -> Plan:
        with tempfile.TemporaryDirectory(prefix="edgevid-plan-") as folder:
            path = Path(folder) / "model.onnx"
            ir.save(finish(head.clone(), forms), path)
            return measure(path, compute_capability)

    try:
        best = plan(chosen) if chosen else None
        for op_type, forms in candidates.items():
            trials.append(Trial(op_type, forms[0], best))
            for form in forms[1:]:
                trial = Trial(op_type, form, plan({**chosen, op_type: form}))
                trials.append(trial)
                if trial.plan.cost < best.cost:
                    best, chosen = trial.plan, {**chosen, op_type: form}
    except NoPlanError as error:
        return Choice(chosen, tuple(trials), str(error))
    return Choice(chosen, tuple(trials))


def head_of(graph: ir.Model, op_types: tuple[str, ...]) -> ir.Model:
    """A copy of ``graph`` up to the third op of each of ``op_types``, the rest of it cut off.

    What the rest would have read is given out instead.
    """
    from onnx_ir.passes import common

    head = graph.clone()
    nodes = list(head.graph)
    ends = []
    for op_type in op_types:
        places = [place for place, node in enumerate(nodes) if node.op_type == op_type]
        ends.append(places[:OPS_OF_A_KIND][-1])
    kept, rest = nodes[: max(ends) + 1], nodes[max(ends) + 1 :]
    read_later = {value for node in rest for value in node.inputs}
    results = [value for node in kept for value in node.outputs if value in read_later]
    results += [value for value in head.graph.outputs if value.producer() in kept and value not in results]
    head.graph.outputs.clear()
    head.graph.outputs.extend(results)
    head.graph.remove(rest, safe=True)
    common.RemoveUnusedNodesPass()(head)
    return head

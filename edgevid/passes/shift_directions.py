"""TemporalShift(x) of clips of one frame, its direction unseen -> the shift that longer clips show.

A shift written in standard operators leaves nothing but zeros in a clip of one frame, as streams are traced.
The same network traced with more frames tells which way each of its shifts goes.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevid import ops
from edgevid.errors import ExportError
from edgevid.specs import PassReport

OP = "TemporalShift"


def take_directions(graph: ir.Model, longer: ir.Model, reports: tuple[PassReport, ...]) -> None:
    """Give the shifts of ``graph``, of one frame, what those of ``longer`` move, and which way.

    Both are the same network with its shifts recognised; ``reports`` say what was refused in ``longer``.
    Raises ``ExportError`` if it has other shifts.
    """
    short, long = _shifts(graph), _shifts(longer)
    if [_moved(node) for node in short] != [_moved(node) for node in long]:
        refused = [reason for report in reports for reason in report.refused]
        why = f" ({refused[0]})" if refused else ""
        raise ExportError(
            f"{len(short)} places look like temporal shifts in one frame, but {len(long)} are in a clip{why}"
            ", so it cannot be streamed: use torch.ops.edgevid.temporal_shift for what is a shift"
        )
    for node, model in zip(short, long):
        for name in ("fold", "first", "second"):
            node.attributes[name] = ir.AttrInt64(name, model.attributes[name].as_int())


def _shifts(graph: ir.Model) -> list[ir.Node]:
    return [node for node in graph.graph if node.domain == ops.DOMAIN and node.op_type == OP]


def _moved(node: ir.Node) -> tuple[int, int]:
    """The channels of a shift's input, and how many of them it moves."""
    ways = 2 if node.attributes["second"].as_int() else 1
    return int(node.inputs[0].shape[1]), ways * node.attributes["fold"].as_int()

"""From a network to the graph that backends compile: traced, simplified and, for a stream, with states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgevid.exporter.costs import count_macs, weight_bytes
from edgevid.exporter.example import Example, evaluating, forward_by_frame
from edgevid.exporter.randomness import refuse_random_nodes
from edgevid.exporter.request import Request
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.remove_no_ops import remove_no_ops
from edgevid.passes.streaming.to_streaming import to_streaming
from edgevid.specs import PassReport, StateSpec

if TYPE_CHECKING:
    import onnx_ir as ir

MIN_FRAMES = 2
"""A stream is traced with at least two frames: one frame does not show how layers use time."""


@dataclass(frozen=True)
class Graph:
    """``model`` is in ONNX IR, each temporal op one node; ``passes`` report what was rewritten.

    A stream has ``states``. ``macs`` counts one inference, ``weight_bytes`` all weights.
    """

    model: ir.Model
    passes: tuple[PassReport, ...]
    states: tuple[StateSpec, ...]
    macs: int
    weight_bytes: int


def trace_network(network: torch.nn.Module, request: Request, example: Example) -> ir.Model:
    """Trace a whole clip, for a stream too: a single frame does not show which frames a layer reads."""
    frames = max(request.frames, MIN_FRAMES) if request.streaming else request.frames
    shape = request.spec.input_shape(frames, request.size)
    with evaluating(network), forward_by_frame(network, request):
        return trace(network, torch.zeros(shape), request.spec.input, tuple(example.outputs))


def rewrite(model: ir.Model, request: Request, example: Example) -> Graph:
    """Simplify the traced ``model`` in place; a stream takes one frame and keeps states."""
    reports, states = run_passes(model, STANDARD), ()
    refuse_random_nodes(request.spec.name, model, example.random_operators)
    if request.streaming:
        report, states = to_streaming(model)
        reports = (*reports, report, *run_passes(model, (remove_no_ops,)))
    return Graph(model, reports, states, count_macs(model), weight_bytes(model))

"""Time interleaved candidates on an NVIDIA GPU as CUDA graphs; the shift as TSM's code writes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgevid.benchmarks.experiments.study import interleave

if TYPE_CHECKING:
    import torch

FRAMES = 8
MIN_SAMPLE_MS = 0.4


def interleaved(runs: dict[str, Callable[[int], Any]], buffers: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of one run of each as a CUDA graph, in rounds that each start with a different one."""
    import torch

    graphs = {name: capture(run, buffers) for name, run in runs.items()}
    replayed = {name: (graph, _replays(graph)) for name, graph in graphs.items()}
    samples = interleave(replayed, rounds, clock=lambda one: _time_ms(*one) / one[1] / buffers)
    torch.cuda.synchronize()
    return samples


def capture(run: Callable[[int], Any], buffers: int) -> torch.cuda.CUDAGraph:
    """``run`` on each buffer in turn, as a CUDA graph."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run(0)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(buffers):
            run(i)
    return graph


def _replays(graph: torch.cuda.CUDAGraph) -> int:
    _time_ms(graph, 3)
    return max(1, math.ceil(MIN_SAMPLE_MS / max(_time_ms(graph, 3) / 3, 1e-3)))


def _time_ms(graph: torch.cuda.CUDAGraph, replays: int) -> float:
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(replays):
        graph.replay()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def shift_by_slices(x: torch.Tensor, fold: int) -> torch.Tensor:
    """The bidirectional shift as TSM's code writes it, by slice assignment into zeros."""
    import torch

    clips = x.unflatten(0, (-1, FRAMES))
    shifted = torch.zeros_like(clips)
    shifted[:, :-1, :fold] = clips[:, 1:, :fold]
    shifted[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
    shifted[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
    return shifted.flatten(0, 1)

"""Lint for what a comparison with PyTorch cannot detect: an output that ignores the input, or some frames.

An export of such a network matches it, and is just as useless. The usual causes are an output computed once
in the constructor, and sampling inside the network that drops frames.
"""

from __future__ import annotations

import numpy as np
import torch

from edgevid.exporter.example import Example, evaluating
from edgevid.exporter.request import SEED, Request

MAX_INDICES = 8
"""Frames that a warning lists."""

CORNER = 64
"""Height and width in pixels that a gradient is computed on."""


def lint(network: torch.nn.Module, example: Example, request: Request) -> tuple[str, ...]:
    """A warning for each problem; the network keeps its mode."""
    inputs, name = torch.from_numpy(example.array.copy()), request.spec.name
    count = inputs.shape[1] if request.spec.input == "clip" else 1
    with evaluating(network):
        ignored = ignored_frames(network, inputs) if count > 1 else []
        if len(ignored) == count or (count == 1 and not _Changes(network, inputs).by(torch.ones(1))):
            return (f"the output of {name} does not depend on its input: was it computed beforehand?",)
    if not ignored:
        return ()
    indices = ", ".join(map(str, ignored[:MAX_INDICES])) + (", ..." if len(ignored) > MAX_INDICES else "")
    return (
        f"the output of {name} does not depend on {len(ignored)} of its {count} frames ({indices}): "
        "pass only the frames that it reads, with --frames",
    )


def ignored_frames(network: torch.nn.Module, clip: torch.Tensor) -> list[int]:
    """The frames of ``clip``, ``(1, T, C, H, W)``, that do not affect any output.

    Frames whose gradient is exactly zero, at the cost of one backward pass, are confirmed by changing them;
    without a gradient, every frame is changed in turn.
    """
    suspects = _without_gradient(network, clip)
    if not suspects:
        return []
    changes = _Changes(network, clip)
    return [frame for frame in suspects if not changes.by(_frame_mask(frame, clip.shape[1]))]


def _without_gradient(network: torch.nn.Module, clip: torch.Tensor) -> list[int]:
    """Frames without gradient, on a corner of ``CORNER`` pixels if the network accepts that."""
    sizes = {min(CORNER, clip.shape[-1]), clip.shape[-1]}
    for size in sorted(sizes):
        inputs = clip[..., :size, :size].clone().requires_grad_()
        try:
            with torch.enable_grad():
                outputs = [output for output in _outputs(network, inputs) if output.requires_grad]
                generator = torch.Generator().manual_seed(SEED)
                mixed = sum(
                    (output * torch.rand(output.shape, generator=generator)).sum() for output in outputs
                )
                (gradient,) = torch.autograd.grad(mixed, inputs)
            return (gradient.abs().amax((0, 2, 3, 4)) == 0).nonzero().flatten().tolist()
        except Exception:  # too small for the network, an op without gradient, or no path to the input
            continue
    return list(range(clip.shape[1]))


class _Changes:
    """Whether replacing part of the input changes any output."""

    def __init__(self, network: torch.nn.Module, inputs: torch.Tensor) -> None:
        self._network, self._inputs = network, inputs
        noise = np.random.default_rng(SEED + 1).standard_normal(tuple(inputs.shape), dtype=np.float32)
        self._noise = torch.from_numpy(noise)
        with torch.no_grad():
            self._before = _outputs(network, inputs.clone())  # which the network may change in place

    def by(self, mask: torch.Tensor) -> bool:
        """Replaces the input where ``mask``, which is broadcast, is 1."""
        with torch.no_grad():
            after = _outputs(self._network, torch.where(mask.bool(), self._noise, self._inputs))
        return any(not torch.equal(before, now) for before, now in zip(self._before, after))


def _frame_mask(frame: int, frames: int) -> torch.Tensor:
    mask = torch.zeros(1, frames, 1, 1, 1)
    mask[:, frame] = 1
    return mask


def _outputs(network: torch.nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    result = network(inputs)
    return list(result.values()) if isinstance(result, dict) else [result]

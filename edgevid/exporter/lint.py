"""Traps of an export that parity does not see: the network takes no notice of its input, or of some frame.

An export that repeats such a network is equal to it, and as useless. The usual causes are an output that was
computed once when the module was made, and sampling inside the network that drops frames.
"""

from __future__ import annotations

import numpy as np
import torch

from edgevid.exporter.example import Example, evaluating
from edgevid.exporter.request import SEED, Request

SHOWN, CORNER = 8, 64


def lint(network: torch.nn.Module, example: Example, request: Request) -> tuple[str, ...]:
    """A sentence for each trap; the network is in the mode that it was in before."""
    given, name = torch.from_numpy(example.array.copy()), request.spec.name
    count = given.shape[1] if request.spec.input == "clip" else 1
    with evaluating(network):
        unseen = unseen_frames(network, given) if count > 1 else []
        if len(unseen) == count or (count == 1 and not _Changes(network, given).by(torch.ones(1))):
            return (f"the output of {name} does not depend on its input: was it computed beforehand?",)
    if not unseen:
        return ()
    shown = ", ".join(map(str, unseen[:SHOWN])) + (", ..." if len(unseen) > SHOWN else "")
    return (
        f"the output of {name} does not depend on {len(unseen)} of its {count} frames ({shown}): "
        "give it with --frames only those that it reads",
    )


def unseen_frames(network: torch.nn.Module, clip: torch.Tensor) -> list[int]:
    """The frames of ``clip``, ``(1, T, C, H, W)``, that can be changed without any change of an output.

    A gradient of exactly zero raises the suspicion, at the price of one backward pass, and a changed frame
    confirms it; where there is no gradient, every frame is changed in turn.
    """
    suspects = _without_gradient(network, clip)
    if not suspects:
        return []
    changes = _Changes(network, clip)
    return [frame for frame in suspects if not changes.by(_only(frame, clip.shape[1]))]


def _without_gradient(network: torch.nn.Module, clip: torch.Tensor) -> list[int]:
    """Frames without gradient, seen through a corner of ``CORNER`` pixels where the network takes that."""
    sizes = {min(CORNER, clip.shape[-1]), clip.shape[-1]}
    for size in sorted(sizes):
        given = clip[..., :size, :size].clone().requires_grad_()
        try:
            with torch.enable_grad():
                outputs = [output for output in _outputs(network, given) if output.requires_grad]
                generator = torch.Generator().manual_seed(SEED)
                mixed = sum(
                    (output * torch.rand(output.shape, generator=generator)).sum() for output in outputs
                )
                (gradient,) = torch.autograd.grad(mixed, given)
            return (gradient.abs().amax((0, 2, 3, 4)) == 0).nonzero().flatten().tolist()
        except Exception:  # too small for the network, an op without gradient, or no way to the input
            continue
    return list(range(clip.shape[1]))


class _Changes:
    """Whether other numbers in a place of the input change any output."""

    def __init__(self, network: torch.nn.Module, given: torch.Tensor) -> None:
        self._network, self._given = network, given
        other = np.random.default_rng(SEED + 1).standard_normal(tuple(given.shape), dtype=np.float32)
        self._other = torch.from_numpy(other)
        with torch.no_grad():
            self._before = _outputs(network, given.clone())  # which the network may change in place

    def by(self, where: torch.Tensor) -> bool:
        """Where ``where`` is 1; it is broadcast."""
        with torch.no_grad():
            after = _outputs(self._network, torch.where(where.bool(), self._other, self._given))
        return any(not torch.equal(before, now) for before, now in zip(self._before, after))


def _only(frame: int, frames: int) -> torch.Tensor:
    mask = torch.zeros(1, frames, 1, 1, 1)
    mask[:, frame] = 1
    return mask


def _outputs(network: torch.nn.Module, given: torch.Tensor) -> list[torch.Tensor]:
    answer = network(given)
    return list(answer.values()) if isinstance(answer, dict) else [answer]

"""Plain PyTorch networks: the zoo's backbones and weights, with the shift as other code writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from edgevid.benchmarks.experiments.peers.cases import Case
from edgevid.zoo.create import create_model
from edgevid.zoo.layers.shift import TemporalShift

SHIFT_DIV = 8
WEIGHTS = "weights.pt"


class AssignedShift(nn.Module):
    """Bidirectional shift as in Lin, Gan, Han, "TSM", ICCV 2019: slices assigned into a tensor of zeros."""

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        clips, fold = x.unflatten(0, (-1, frames)), x.shape[1] // SHIFT_DIV
        out = torch.zeros_like(clips)
        out[:, :-1, :fold] = clips[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
        return out.flatten(0, 1)


class ConcatenatedShift(nn.Module):
    """The same shift: each group of channels is concatenated with a frame of zeros."""

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        clips, fold = x.unflatten(0, (-1, frames)), x.shape[1] // SHIFT_DIV
        ahead, back, rest = clips.split([fold, fold, x.shape[1] - 2 * fold], 2)
        zeros = torch.zeros_like(ahead[:, :1])
        ahead = torch.cat((ahead[:, 1:], zeros), 1)
        back = torch.cat((zeros, back[:, :-1]), 1)
        return torch.cat((ahead, back, rest), 2).flatten(0, 1)


class OnlineShift(nn.Module):
    """Online shift (section 4.2): the first channels come from the previous frame, this frame's are cached.

    ``memory``, in place of the number of frames, is the states to read and the list of next states.
    """

    def forward(self, x: torch.Tensor, memory: tuple[list, list]) -> torch.Tensor:
        states, next_states = memory
        fold = x.shape[1] // SHIFT_DIV
        previous = states.pop(0) if states else torch.zeros_like(x[:, :fold])
        next_states.append(x[:, :fold])
        return torch.cat((previous, x[:, fold:]), 1)


class FrameNetwork(nn.Module):
    """A frame ``(1, 3, H, W)`` and states to logits and next states; states default to zeros."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone, self.classifier = network.backbone, network.classifier

    def forward(self, frame: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        next_states: list[torch.Tensor] = []
        features = self.backbone(frame, (list(states), next_states))
        return (self.classifier(features), *next_states)


SHIFTS: dict[str, Callable[[], nn.Module]] = {"tsm": AssignedShift, "tsm-cat": ConcatenatedShift}


def zoo_network(case: Case, network: str, weights: Path | None = None) -> nn.Module:
    """edgevid's own network; all networks of a backbone have the same state dict."""
    torch.manual_seed(case.seed)
    model = create_model(case.zoo_name(network), num_classes=case.classes, frames=case.frames)
    if weights is not None:
        model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def ordinary_network(case: Case, network: str, weights: Path) -> nn.Module:
    """A module without edgevid's ops: ``(clip,)`` to logits, or ``(frame, *states)`` as ``FrameNetwork``."""
    model = zoo_network(case, network, weights)
    shift = OnlineShift if case.streaming else SHIFTS.get(network)
    for name, module in list(model.named_modules()):
        if isinstance(module, TemporalShift):
            model.set_submodule(name, shift())
    return FrameNetwork(model).eval() if case.streaming else model


def example_of(case: Case, model: nn.Module, clip: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The arguments of ``model``: the clip, or its first frame and states of zeros."""
    if not case.streaming:
        return (clip,)
    frame = clip[:, 0]
    with torch.no_grad():
        return (frame, *(torch.zeros_like(state).contiguous() for state in model(frame)[1:]))


@torch.no_grad()
def eager_output(case: Case, model: nn.Module, clip: torch.Tensor) -> torch.Tensor:
    """Logits of the clip ``(1, classes)``, or of each of its frames as a stream ``(T, classes)``."""
    if not case.streaming:
        return model(clip)
    rows, states = [], ()
    for frame in clip.unbind(1):
        logits, *states = model(frame, *states)
        rows.append(logits)
    return torch.cat(rows)

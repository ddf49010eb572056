"""Registration of temporal ops in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from edgevid.ops.temporal_op import DOMAIN

if TYPE_CHECKING:
    import torch


def register_torch_op(
    schema: str,
    forward: Callable[..., torch.Tensor],
    fake: Callable[..., torch.Tensor],
    backward: Callable[..., tuple[torch.Tensor | None, ...]],
    reads: Collection[int] = (),
) -> Any:
    """Register ``torch.ops.edgevid.X`` for a ``schema`` such as ``X(Tensor x, int fold) -> Tensor``; returns
    it.

    ``forward`` and ``fake`` take the arguments. ``backward`` takes the gradient of the result and the
    arguments, and returns the gradients of the tensors, which come first. Only the tensors at the positions
    ``reads`` are saved for it; the others are meta tensors.
    """
    import torch

    name, parameters = schema.split("(", 1)
    op = torch.library.custom_op(f"{DOMAIN}::{name}", forward, mutates_args=(), schema=f"({parameters}")
    op.register_fake(fake)

    def keep_arguments(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*(inputs[place] for place in reads))
        ctx.arguments = [
            torch.empty_like(value, device="meta") if isinstance(value, torch.Tensor) else value
            for value in inputs
        ]

    def gradients(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        arguments = list(ctx.arguments)
        for place, value in zip(reads, ctx.saved_tensors):
            arguments[place] = value
        results = backward(gradient, *arguments)
        return (*results, *[None] * (len(arguments) - len(results)))

    op.register_autograd(gradients, setup_context=keep_arguments)
    return getattr(getattr(torch.ops, DOMAIN), name)

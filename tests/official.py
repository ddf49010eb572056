"""Forward passes of official implementations; weights are a function of a tensor's name and shape."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

DATA = Path(__file__).parent / "data"


def reference(case: str) -> SimpleNamespace:
    """The ``state`` dict, the ``clip`` and the ``logits`` (None if unknown) of a case in tests/data.

    The clip is ``(N, T, 3, H, W)`` however the case holds it: with the frames as channels, one after another
    (as TSM's code), as ``(N, 3, T, H, W)`` (3-D networks), or as one image.
    """
    meta = json.loads((DATA / f"{case}.json").read_text())
    scale = meta.get("scale", {})
    state = {name: _fill(name, tuple(shape), scale) for name, shape in meta["keys"].items()}
    shape = meta["input_shape"]
    values = np.random.Generator(np.random.PCG64(meta["input_seed"])).normal(0, 1, shape).astype(np.float32)
    is_volume = len(shape) == 5 and shape[1] == 3
    frames = torch.from_numpy(values)
    clip = frames.transpose(1, 2).contiguous() if is_volume else frames.reshape(1, -1, 3, *shape[-2:])
    logits = np.array(meta["logits"]) if "logits" in meta else None
    return SimpleNamespace(state=state, clip=clip, logits=logits)


def names_and_shapes(case: str) -> dict[str, torch.Tensor]:
    """The ``state`` of a case without values, for tests of what is decided before any is read."""
    meta = json.loads((DATA / f"{case}.json").read_text())
    return {name: torch.empty(shape, device="meta") for name, shape in meta["keys"].items()}


def zeros_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Zeros of the shapes in ``state``, which may be without values, where any values do."""
    return {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in state.items()}


def _fill(name: str, shape: tuple[int, ...], scale: dict[str, float]):
    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    if name.endswith(("running_var", "_variance")):
        values = random.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", "_mean", "bias")):
        values = random.normal(0, 0.1, shape)
    elif len(shape) == 1:
        values = random.uniform(0.5, 1.5, shape)
    else:
        values = random.normal(0, 1.2 * (1 / np.prod(shape[1:])) ** 0.5, shape)
    for end, factor in scale.items():
        if name.endswith(end):
            values = values * factor
    return torch.from_numpy(np.asarray(values, dtype=np.float32))

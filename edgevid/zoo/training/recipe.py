"""Recipes: how a network is trained, and the learning rate at each moment.

Sources: TSN is Wang et al., "Temporal Segment Networks", ECCV 2016, sections 3.2 and 4.1, with the settings
of TSM's code (``main.py``, ``ops/models.py``); PP-TSM is PaddleVideo, ``configs/recognition/pptsm`` and
``docs/en/model_zoo/recognition/pp-tsm.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevid.errors import EdgevidError


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    ``rate`` is the learning rate after the warm-up. It is divided by ten at each of ``decay_at``, fractions
    of the training, or follows half a cosine if there are none. ``warm_up`` is the fraction of the training
    in which the rate grows linearly from ``warm_up_from`` times ``rate``. ``classifier_rate`` multiplies the
    classifier's rate: it learns faster than a backbone that was trained before, but must be slower than one
    with random weights, as its inputs are all positive: with few classes, each step moves the logits of all
    clips together. ``clip_norm`` bounds the norm of all gradients together. ``scales`` are the sides of the
    crops, as shares of the image's short side. ``partial_bn`` freezes all batch norms but the first where
    training starts from weights. ``mixup`` is the parameter of the Beta distribution of the shares of two
    mixed clips, 0 for none. ``precise_bn`` is the number of batches that the statistics of batch norms are
    averaged over, every ``precise_bn_every`` epochs.
    """

    epochs: int
    batch: int = 16
    rate: float = 0.01
    decay_at: tuple[float, ...] = ()
    warm_up: float = 0.0
    warm_up_from: float = 0.5
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    classifier_rate: float = 5.0
    clip_norm: float | None = None
    dropout: float = 0.5
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    flip: bool = False
    partial_bn: bool = False
    label_smoothing: float = 0.0
    mixup: float = 0.0
    precise_bn: int = 0
    precise_bn_every: int = 5

    def __post_init__(self) -> None:
        for option, value, fits, rule in (
            ("epochs", self.epochs, self.epochs >= 1, "at least 1"),
            ("batch", self.batch, self.batch >= 2, "at least 2, as batch norms compare clips"),
            ("lr", self.rate, self.rate > 0, "above 0"),
            ("classifier-rate", self.classifier_rate, self.classifier_rate > 0, "above 0"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "from 0 to below 1"),
            ("mixup", self.mixup, self.mixup >= 0, "at least 0"),
            ("scales", self.scales, all(0 < scale <= 1 for scale in self.scales), "above 0 and at most 1"),
        ):
            if not fits:
                raise EdgevidError(f"--{option} must be {rule}, not {value}")


RECIPES = {
    "tsn": Recipe(
        epochs=50,
        decay_at=(0.4, 0.8),
        weight_decay=5e-4,
        clip_norm=20.0,
        partial_bn=True,
    ),
    "pptsm": Recipe(
        epochs=80,
        warm_up=1 / 8,
        nesterov=True,
        label_smoothing=0.1,
        mixup=0.2,
        precise_bn=200,
    ),
}


def rate_at(recipe: Recipe, progress: float) -> float:
    """The learning rate when a fraction ``progress`` of the training is done.

    PP-TSM's warm-up and cosine go on between epochs (PaddleVideo's ``CustomWarmupCosineDecay``).
    """
    if progress < recipe.warm_up:
        start = recipe.warm_up_from
        return recipe.rate * (start + (1 - start) * progress / recipe.warm_up)
    if recipe.decay_at:
        return recipe.rate * 0.1 ** sum(progress >= moment for moment in recipe.decay_at)
    return recipe.rate * (1 + math.cos(math.pi * progress)) / 2

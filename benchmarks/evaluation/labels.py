"""The classes of a network against those of a data set, and what the order of labels does to the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevid.errors import BenchmarkError

NEAR_CHANCE, FAR_ABOVE = 3.0, 3.0
"""An order is wrong if top-1 is at most thrice chance, and in another one thrice as high as both."""


def matching(
    labels: Sequence[str] | None, outputs: int, classes: Sequence[str]
) -> tuple[np.ndarray, str | None]:
    """The network's output for each class of the data set, int64 (classes,), and a remark if there is one.

    ``labels`` are the network's names of its ``outputs``, None if it has none. Raises ``BenchmarkError`` if
    the numbers differ.
    """
    if outputs != len(classes):
        raise BenchmarkError(
            f"the network has {outputs} classes and the data set {len(classes)}: evaluate a network that was "
            "trained on this data set"
        )
    same = np.arange(outputs)
    if labels is None:
        return same, None
    ours, theirs = [_plain(name) for name in labels], [_plain(name) for name in classes]
    if ours == theirs:
        return same, None
    if sorted(ours) == sorted(theirs) and len(set(ours)) == outputs:
        return np.array([ours.index(name) for name in theirs]), (
            "the network has the classes in another order than the data set: they are matched by name"
        )
    number = next(i for i in range(outputs) if ours[i] != theirs[i])
    return same, (
        f"the names of the classes differ (class {number} is '{labels[number]}' for the network and "
        f"'{classes[number]}' in the data set): they are matched by their index"
    )


def order_remark(
    accuracy: float, by_order: Mapping[str, float], classes: int, has_labels: bool
) -> str | None:
    """A remark if the network was surely trained with its classes in another order than was assumed.

    ``accuracy`` is what was measured; ``by_order`` what it is if the network's outputs are the classes in the
    order of that name, whatever its labels (if it ``has_labels``) say.
    """
    order, better = max(by_order.items(), key=lambda item: item[1])
    chance = 1 / classes
    if accuracy > NEAR_CHANCE * chance or better < FAR_ABOVE * max(accuracy, chance):
        return None
    remedy = "export it again with its own labels" if has_labels else f"use --labels {order}"
    return (
        f"top-1 is {accuracy:.1%}, and would be {better:.1%} with the classes in the order '{order}', "
        f"in which the network must have been trained: {remedy}"
    )


def _plain(name: str) -> str:
    """Data sets write spaces, quotes and capitals in different ways."""
    return " ".join(name.replace("_", " ").replace('"', "").split()).casefold()

"""The formats of checkpoints, and which of them a checkpoint is in.

A format is the names that one project gives to its tensors: rules that rewrite them into the names of the
zoo, and where its values lie otherwise too, a function that turns them. It is recognized by itself: the one
whose rules meet most of the names that the network at hand wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from edgevid.weights import prefixes

Rule = tuple[str, "str | Callable[[re.Match], str]"]
"""A pattern, and its replacement as ``re.sub`` takes it; a function can compute a number in a name."""


def as_it_is(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Format:
    """How one project names, and stores, the tensors of its checkpoints.

    ``rules`` are applied in order, each once, to a name of the checkpoint; tensors whose name then matches
    ``unused`` are left out, for the network computes the same without them. ``mark`` is a pattern that some
    name of each such checkpoint matches, where the rest of the names is another format's too.
    ``turn(name, tensor, expected)`` gives the tensor as the zoo stores it: ``name`` is the zoo's,
    ``expected`` the network's own tensor.
    ``initializes`` tells that the checkpoint is of images: it fills a backbone, and its classifier is taken
    only where it has as many classes.
    ``misfit(network)`` says why the project's network computes something else than this one, though their
    tensors have the same names and shapes; None if it does not.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    unused: str | None = None
    mark: str | None = None
    turn: Callable[[str, Tensor, Tensor], Tensor] = as_it_is
    initializes: bool = False
    misfit: Callable[[nn.Module], str | None] = lambda network: None

    def canonical_names(
        self, names: Iterable[str], is_wrapped: Callable[[str], bool] = lambda layer: True
    ) -> dict[str, str]:
        """The zoo's name to the checkpoint's name.

        TSM's code, and those after it, wrap what they shift or pool over time: ``layer1.0.conv1.net.weight``.
        ``is_wrapped("layer1.0.conv1")`` tells whether the network at hand does so there too, else the
        wrapper's name stays, and will not fit.
        """
        canonical = {}
        for theirs in names:
            ours = self._rename(theirs, is_wrapped)
            if self.unused is None or not re.search(self.unused, ours):
                canonical[ours] = theirs
        return canonical

    def _rename(self, name: str, is_wrapped: Callable[[str], bool]) -> str:
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name, count=1)
        start = 0
        while (wrapper := name.find(".net.", start)) >= 0:
            if is_wrapped(name[:wrapper]):
                name = name[:wrapper] + name[wrapper + len(".net") :]
            else:
                start = wrapper + 1
        return name


class Recognized(NamedTuple):
    """``names`` maps the zoo's names to the checkpoint's; ``outside`` are those without the ``prefix``.

    ``rival`` is another prefix whose names fit as well, and ``taken_off`` what is left away from the names.
    """

    format: Format
    names: dict[str, str]
    outside: list[str]
    taken_off: list[str]
    rival: tuple[str, str] | None = None


def recognize(
    formats: Iterable[Format],
    names: Iterable[str],
    expected: Collection[str],
    is_wrapped: Callable[[str], bool] = lambda layer: True,
) -> Recognized:
    """The format and the prefix whose names meet most of the ``expected`` ones, the first of equals."""
    names, expected = list(names), set(expected)
    best: tuple[int, Any, str] = (-1, None, "")
    fits: dict[str, int] = {}
    for spelling in prefixes.spellings(names):
        for prefix in prefixes.candidates(spelling):
            inside = {
                short[len(prefix) :]: name for short, name in spelling.items() if short.startswith(prefix)
            }
            for candidate in formats:
                if candidate.mark is not None and not any(re.search(candidate.mark, name) for name in inside):
                    continue
                canonical = candidate.canonical_names(inside, is_wrapped)
                met = len(canonical.keys() & expected)
                fits[prefix] = max(met, fits.get(prefix, 0))
                if met > best[0]:
                    outside = [name for short, name in spelling.items() if not short.startswith(prefix)]
                    whole = {ours: inside[theirs] for ours, theirs in canonical.items()}
                    best = met, Recognized(candidate, whole, outside, prefixes.taken_off(inside)), prefix
    met, result, prefix = best
    apart = (other for other, count in fits.items() if count == met and met and other and prefix)
    for other in apart:
        if not other.startswith(prefix) and not prefix.startswith(other):
            return result._replace(rival=(prefix, other))
    return result

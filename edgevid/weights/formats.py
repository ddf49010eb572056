"""Checkpoint formats and their detection.

A format describes the tensor names of one project by rules that rewrite them into the names of the zoo, and,
if the layout of values differs too, a function that converts them. The detected format is the one whose rules
produce most of the names that the network expects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from edgevid.weights import prefixes

Rule = tuple[str, "str | Callable[[re.Match], str]"]
"""A pattern and its replacement, as in ``re.sub``; a function can compute a number in a name."""


def unchanged(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Format:
    """The names and layouts of the tensors in one project's checkpoints.

    ``rules`` are applied in order, each once, to a name of the checkpoint; tensors whose name then matches
    ``unused`` are dropped, since they do not affect the network's output. ``marker`` is a pattern that some
    name in each such checkpoint matches, for formats whose other names occur in another format too.
    ``convert(name, tensor, expected)`` returns the tensor in the layout of the zoo: ``name`` is the zoo's,
    ``expected`` the network's own tensor. ``initializes`` marks image checkpoints: they fill a backbone, and
    the classifier only if the number of classes matches. ``mismatch(network)`` is the reason why the
    project's network computes something else than this one, though their tensors have the same names and
    shapes; None if it computes the same.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    unused: str | None = None
    marker: str | None = None
    convert: Callable[[str, Tensor, Tensor], Tensor] = unchanged
    initializes: bool = False
    mismatch: Callable[[nn.Module], str | None] = lambda network: None

    def canonical_names(
        self, names: Iterable[str], is_wrapped: Callable[[str], bool] = lambda layer: True
    ) -> dict[str, str]:
        """A mapping of the zoo's names to the checkpoint's.

        TSM's code and its successors wrap layers that they shift or pool over time:
        ``layer1.0.conv1.net.weight``. Where ``is_wrapped("layer1.0.conv1")`` is false for the network, the
        wrapper's name stays, and does not fit.
        """
        canonical = {}
        for name in names:
            canonical_name = self._rename(name, is_wrapped)
            if self.unused is None or not re.search(self.unused, canonical_name):
                canonical[canonical_name] = name
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
    """``names`` maps the zoo's names to the checkpoint's; ``outside`` are those without the prefix.

    ``rival`` is the prefix and another one whose names fit equally well; ``removed_parts`` describes the
    parts removed from the names.
    """

    format: Format
    names: dict[str, str]
    outside: list[str]
    removed_parts: list[str]
    rival: tuple[str, str] | None = None


def recognize(
    formats: Iterable[Format],
    names: Iterable[str],
    expected: Collection[str],
    is_wrapped: Callable[[str], bool] = lambda layer: True,
) -> Recognized:
    """The format and the prefix that produce most of the ``expected`` names; the first of equals."""
    names, expected = list(names), set(expected)
    best: tuple[int, Any, str] = (-1, None, "")
    fits: dict[str, int] = {}
    for spelling in prefixes.spellings(names):
        for prefix in prefixes.candidates(spelling):
            inside = {
                short[len(prefix) :]: name for short, name in spelling.items() if short.startswith(prefix)
            }
            for candidate in formats:
                marker = candidate.marker
                if marker is not None and not any(re.search(marker, name) for name in inside):
                    continue
                canonical = candidate.canonical_names(inside, is_wrapped)
                matches = len(canonical.keys() & expected)
                fits[prefix] = max(matches, fits.get(prefix, 0))
                if matches > best[0]:
                    outside = [name for short, name in spelling.items() if not short.startswith(prefix)]
                    sources = {ours: inside[theirs] for ours, theirs in canonical.items()}
                    parts = prefixes.removed_parts(inside)
                    best = matches, Recognized(candidate, sources, outside, parts), prefix
    matches, result, prefix = best
    rivals = (rival for rival, count in fits.items() if count == matches and matches and rival and prefix)
    for rival in rivals:
        if not rival.startswith(prefix) and not prefix.startswith(rival):
            return result._replace(rival=(prefix, rival))
    return result

"""Prefixes of tensor names, from the wrappers that a network was trained and saved in.

``torch.compile`` adds ``_orig_mod.``, ``DataParallel`` adds ``module.``, a LightningModule the attribute that
holds the network. Layers can have these names too, so only those prefixes are removed that make the names
fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

TRANSPARENT = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
"""Wrappers of any module, including inner ones. No network has layers with these names."""

PARALLEL = "module"
"""The wrapper of ``DataParallel``; a layer may have this name too."""

MAX_DEPTH = 4
SHARE = 5
"""A prefix of less than a fifth of the names is not a wrapper of the network."""


def spellings(names: Iterable[str]) -> list[dict[str, str]]:
    """Mappings of short names to full ones: without transparent wrappers; then also without ``module``."""
    names = list(names)
    plain = _without(names, TRANSPARENT)
    parallel = _without(names, TRANSPARENT | {PARALLEL})
    inside = any(f".{PARALLEL}." in name for name in plain)
    return [plain, parallel] if inside else [plain]


def _without(names: list[str], wrappers: frozenset[str]) -> dict[str, str]:
    """Names without ``wrappers``; unchanged if two of them would become equal."""
    shortened: dict[str, str] = {}
    for name in names:
        short = ".".join(part for part in name.split(".") if part not in wrappers)
        shortened.setdefault(short or name, name)
    return shortened if len(shortened) == len(names) else {name: name for name in names}


def candidates(names: Iterable[str]) -> list[str]:
    """The possible prefixes of the network's names: the empty one, then the others, the shortest first."""
    names = list(names)
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for depth in range(1, min(MAX_DEPTH, len(parts) - 1) + 1):
            counts[".".join(parts[:depth]) + "."] += 1
    shared = [prefix for prefix, count in counts.items() if count * SHARE >= len(names)]
    return ["", *sorted(shared, key=lambda prefix: prefix.count("."))]


def removed_parts(renamed: dict[str, str]) -> list[str]:
    """Descriptions of the removed prefixes and wrappers; ``renamed`` maps short names to full ones."""
    counts: Counter[str] = Counter()
    for short, whole in renamed.items():
        if short != whole:
            inside = not whole.endswith(short)
            counts["wrappers inside names" if inside else repr(whole[: len(whole) - len(short)])] += 1
    return [text for text, _ in counts.most_common()]

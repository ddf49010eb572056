"""What stands before the names of a network's tensors: the wrappers that it was trained and saved in.

``torch.compile`` puts ``_orig_mod.`` there, ``DataParallel`` ``module.``, a LightningModule the attribute
that holds the network. A network can have a layer of such a name: what makes the names fit is taken off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

TRANSPARENT = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
"""Wrappers of any module, inner ones too. No network calls a layer so."""

PARALLEL = "module"
"""``DataParallel``'s; a network may call a layer so."""

DEEPEST = 4
SHARE = 5
"""What is before less than a fifth of the names is no wrapper of the network."""


def spellings(names: Iterable[str]) -> list[dict[str, str]]:
    """The names without transparent wrappers to the names as they are; then without ``module`` inside."""
    names = list(names)
    plain = _without(names, TRANSPARENT)
    parallel = _without(names, TRANSPARENT | {PARALLEL})
    inside = any(f".{PARALLEL}." in name for name in plain)
    return [plain, parallel] if inside else [plain]


def _without(names: list[str], wrappers: frozenset[str]) -> dict[str, str]:
    """Without ``wrappers``, unless two names would then be the same."""
    shortened: dict[str, str] = {}
    for name in names:
        short = ".".join(part for part in name.split(".") if part not in wrappers)
        shortened.setdefault(short or name, name)
    return shortened if len(shortened) == len(names) else {name: name for name in names}


def candidates(names: Iterable[str]) -> list[str]:
    """What may be a prefix of the network's names: none, then the others, the short ones first."""
    names = list(names)
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for depth in range(1, min(DEEPEST, len(parts) - 1) + 1):
            counts[".".join(parts[:depth]) + "."] += 1
    shared = [prefix for prefix, count in counts.items() if count * SHARE >= len(names)]
    return ["", *sorted(shared, key=lambda prefix: prefix.count("."))]


def taken_off(renamed: dict[str, str]) -> list[str]:
    """What was before, or inside, the names: ``renamed`` maps short names to the whole ones."""
    counts: Counter[str] = Counter()
    for short, whole in renamed.items():
        if short != whole:
            inside = not whole.endswith(short)
            counts["wrappers inside names" if inside else repr(whole[: len(whole) - len(short)])] += 1
    return [text for text, _ in counts.most_common()]

"""From the names in released checkpoints to the names of the zoo's networks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Each pair rewrites the start, or the marked part, of a name; the first table whose result fits is taken.
_PARALLEL = (r"^module\.", "")
_TSM_RELEASE = (_PARALLEL, (r"^base_model\.", "backbone."), (r"^new_fc\.", "classifier."), (r"\.net\.", "."))
_ONLINE_DEMO = (_PARALLEL, (r"^features\.", "backbone.features."))

CONVENTIONS = ((_PARALLEL,), _TSM_RELEASE, _ONLINE_DEMO)


def canonical_names(state: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """Rename ``state`` by the convention that meets most of the ``wanted`` names."""
    wanted = set(wanted)
    renamed = [{_rename(name, rules): value for name, value in state.items()} for rules in CONVENTIONS]
    return max(renamed, key=lambda names: len(wanted & names.keys()))


def _rename(name: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name, count=1)
    return name

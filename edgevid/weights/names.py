"""From the names in released checkpoints to the names of the zoo's networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

# Each pair is a pattern and what replaces it; the table whose result meets most of the wanted names is taken.
_PARALLEL = (r"^module\.", "")
_TSM_RELEASE = (_PARALLEL, (r"^base_model\.", "backbone."), (r"^new_fc\.", "classifier."))
_ONLINE_DEMO = (_PARALLEL, (r"^features\.", "backbone.features."))

CONVENTIONS = ((_PARALLEL,), _TSM_RELEASE, _ONLINE_DEMO)


def canonical_names(
    names: Iterable[str], wanted: Collection[str], is_shifted: Callable[[str], bool] = lambda layer: True
) -> dict[str, str]:
    """The zoo's name to the checkpoint's name, by the convention that meets most of the ``wanted`` names.

    Released TSM checkpoints wrap a shifted convolution, ``conv1.net.weight``; ``is_shifted("...conv1")``
    tells whether the network at hand shifts there too, else the wrapper's name stays and will not fit.
    """
    names = list(names)
    candidates = [{_rename(name, rules, is_shifted): name for name in names} for rules in CONVENTIONS]
    return max(candidates, key=lambda renamed: len(renamed.keys() & set(wanted)))


def _rename(name: str, rules: Iterable[tuple[str, str]], is_shifted: Callable[[str], bool]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name, count=1)
    layer, wrapper, parameter = name.rpartition(".net.")
    return f"{layer}.{parameter}" if wrapper and is_shifted(layer) else name

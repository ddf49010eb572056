"""The layouts: each module here with a ``LAYOUT``, the most particular first."""

from __future__ import annotations

from edgevid.specs.registry import submodules
from edgevid.video.datasets.layout import Layout

_FOUND = [module.LAYOUT for module in submodules(__path__, __name__)]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in sorted(_FOUND, key=lambda layout: layout.rank)
}

"""The networks, a package per family; importing the list does not require torch.

The ``__init__.py`` of a family defines ``MODELS``, a ``ModelSpec`` per network; its ``network.py`` defines
the layers. To add a family, add its package: listing, export, streaming, costs, benchmarks and the tests of
every model follow. ``python -m edgevid.exporter.measure NAME`` prints the ``facts`` of a new network.
"""

from __future__ import annotations

from edgevid.specs import ModelSpec
from edgevid.specs.registry import Registry, instance_of, submodules

MODELS: Registry[ModelSpec] = Registry("model", "models", instance_of(ModelSpec))

SHARED = ("backbones", "layers", "training")
"""Packages shared by the families."""

for _folder in submodules(__path__, __name__, folders=True):
    if _folder.__name__.rpartition(".")[2] not in SHARED:
        for _spec in _folder.MODELS:
            MODELS.register(_spec.name, _spec)

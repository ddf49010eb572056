"""The networks, a folder for each family; the list of them is readable without torch.

A family's ``__init__.py`` lists its networks as ``MODELS``, a ``ModelSpec`` each; its ``network.py`` has
their layers. To add a family, add its folder: listing, export, streaming, costs, benchmarks and the tests of
every model follow. ``python -m edgevid.exporter.measure NAME`` prints the ``facts`` of a new network.
"""

from __future__ import annotations

from edgevid.specs import ModelSpec
from edgevid.specs.registry import Registry, instance_of, submodules

MODELS: Registry[ModelSpec] = Registry("model", "models", instance_of(ModelSpec))

SHARED = ("backbones", "layers")
"""Folders that families share."""

for _folder in submodules(__path__, __name__, folders=True):
    if _folder.__name__.rpartition(".")[2] not in SHARED:
        for _spec in _folder.MODELS:
            MODELS.register(_spec.name, _spec)

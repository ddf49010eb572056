"""The networks, a folder for each family; the list of them is readable without torch.

A family's ``__init__.py`` lists its networks as ``MODELS``, a ``ModelSpec`` each; its ``network.py`` has
their layers. To add a family, add its folder: listing, export, streaming, costs, benchmarks and the tests of
every model follow. ``python -m edgevid.exporter.measure NAME`` prints the ``facts`` of a new network.
"""

from __future__ import annotations

import importlib
import pkgutil

from edgevid.registry import Registry, instance_of
from edgevid.specs import ModelSpec

MODELS: Registry[ModelSpec] = Registry("model", "models", instance_of(ModelSpec))

SHARED = ("backbones", "layers")
"""Folders that families share."""

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    if _module.ispkg and _module.name.rpartition(".")[2] not in SHARED:
        for _spec in importlib.import_module(_module.name).MODELS:
            MODELS.register(_spec.name, _spec)

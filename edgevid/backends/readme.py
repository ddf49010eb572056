"""The README of a bundle, from a backend's template."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from edgevid.backends.protocol import Job
from edgevid.specs import bundle_name

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # from Python 3.11 on


def write_readme(folder: Path, job: Job, backend: str, template: Traversable, **values: str) -> None:
    """Write ``folder/README.md`` from ``template``, a text with ``$names``.

    ``$model``, ``$target``, ``$title``, ``$install``, ``$folder``, ``$inputs`` and ``$states`` are those of
    ``job`` unless ``values`` has others. Raises ``KeyError`` if a name in the template has no value.
    """
    common = {
        "model": job.model,
        "target": job.target.name,
        "title": job.target.title,
        "install": job.target.device.install,
        "folder": bundle_name(job.model, job.target.name, backend, bool(job.states)),
        "inputs": "; ".join(job.describe_inputs()),
        "states": job.describe_states(),
    }
    text = Template(template.read_text("utf-8")).substitute(common | values)
    (folder / "README.md").write_text(text, "utf-8")

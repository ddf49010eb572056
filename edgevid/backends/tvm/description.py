"""The description of a TVM library, ``model.json`` in the same folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevid.errors import BackendError
from edgevid.host.safe_paths import read_bounded
from edgevid.specs import records

DESCRIPTION = "model.json"
MAX_BYTES = 1 << 20
"""The maximum size of a description."""

INSTALL = "pip install 'edgevid[tvm]'"


@dataclass(frozen=True)
class Description:
    """The TVM version and processor that a library needs, and its inputs and outputs in order."""

    tvm: str
    architecture: str
    isa: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_description(path: Path) -> Description:
    """The description of the library ``path``; ``BackendError`` if it cannot be read."""
    description = path.with_name(DESCRIPTION)
    try:
        return records.decode(
            Description, records.parse(read_bounded(description.parent, DESCRIPTION, MAX_BYTES))
        )
    except (OSError, ValueError) as error:
        raise BackendError(f"'{description}' cannot be read ({error}): export the bundle again") from None

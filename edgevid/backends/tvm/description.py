"""What lies beside a library of TVM and says what it takes and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevid.errors import BackendError
from edgevid.host.safe_paths import read_bounded
from edgevid.specs import records

DESCRIPTION = "model.json"
MAX_BYTES = 1 << 20
"""Of a description."""

INSTALL = "pip install 'edgevid[tvm]'"


@dataclass(frozen=True)
class Description:
    """What is beside a library: its parameters and results in order, and what it needs."""

    tvm: str
    architecture: str
    isa: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_description(path: Path) -> Description:
    """What stands beside the library ``path``; ``BackendError`` if it cannot be read."""
    beside = path.with_name(DESCRIPTION)
    try:
        return records.decode(Description, records.parse(read_bounded(beside.parent, DESCRIPTION, MAX_BYTES)))
    except (OSError, ValueError) as error:
        raise BackendError(f"'{beside}' cannot be read ({error}): export the bundle again") from None
